// flow/actor_ids.h - the numbers of actors in stamps, the same from run to run.
//
//   Owns     names, numbers; borrows the folder's descriptor
//   Threads  control
//   Fails    a status and a sentence; RKP_IO when the file is damaged or cannot be written
//   Limits   65,535 names, ever, in one data folder; names of 1 to 255 bytes that can be seen
//   Cost     a hash table; the file is written when there are new names
//
// (stamp, actor) is unique across restarts and orders messages the same on replay, so a kernel's replica keeps its number
// as long as the data folder lives.  0 is the engine itself, which publishes to topics that begin with '$'.  The file
// `actors` has a line "NUMBER NAME" for each.
#ifndef RKI_ACTOR_IDS_H
#define RKI_ACTOR_IDS_H

#include <rkpipe/file.h>

typedef struct rki_actor_ids rki_actor_ids;

rkp_status rki_actor_ids_open(int dir, rki_actor_ids **out, char err[RKP_FILE_ERR]);
void rki_actor_ids_free(rki_actor_ids *ids);

// The number of a name; a name that is new gets the next one, which must not be used before rki_actor_ids_save.
rkp_status rki_actor_ids_get(rki_actor_ids *ids, rkp_str name, uint16_t *id, char err[RKP_FILE_ERR]);
rkp_status rki_actor_ids_save(rki_actor_ids *ids, char err[RKP_FILE_ERR]);

#endif
