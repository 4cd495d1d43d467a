// base/secrets.h - texts that must not be seen: put over with *** in whatever leaves the process for eyes.
//
//   Owns     copies of the texts, wiped when it is freed
//   Threads  adding and masking: any, several at a time
//   Fails    add: false without memory; a mask that finds no memory gives nothing rather than the text
//   Limits   texts of less than 4 bytes are left alone (they would hide half of everything); 4096 texts
//   Cost     nothing when there are none; else a search for each text
#ifndef RKI_SECRETS_H
#define RKI_SECRETS_H

#include "base/buf.h"

typedef struct rki_secrets rki_secrets;

rki_secrets *rki_secrets_new(void);
void rki_secrets_free(rki_secrets *s); // NULL is fine
bool rki_secrets_add(rki_secrets *s, rkp_str text);

typedef enum rki_mask {
    RKI_MASK_TEXT, // wherever it stands, as it is, or as JSON or CSV writes it
    RKI_MASK_JSON, // the same in strings alone, so that JSON stays JSON: a number is not a secret
} rki_mask;

// Puts *** over every text in b.  s may be NULL.
void rki_secrets_mask(rki_secrets *s, rki_mask how, rki_buf *b);

#endif
