// rkpipe/device.h - what the engine asks of a module that brings devices (librk_cuda.so).
//
//   Owns     a host owns its images and grids; close them first.  Memory of slots belongs to the grid
//   Threads  open, build, grid_*: one at a time; slots: the chain's own thread, without any call (rkpipe/device/abi.h)
//   Fails    a status and a text; nothing here waits without a deadline
//   Limits   RKD_* of rkpipe/device/abi.h
//   Cost     none for a frame: host and device meet in the slots
//
// A program is device source with one function for each chain (rkd_frame); an image is that, compiled for one device; a grid is an image that
// is resident there, with some blocks for each chain.
#ifndef RKPIPE_DEVICE_H
#define RKPIPE_DEVICE_H

#include <rkpipe/base.h>
#include <rkpipe/device/abi.h>

#define RKD_MODULE_ABI    1u
#define RKD_MODULE_SYMBOL "rkd_module_get" // const rkd_module *(*)(void)

typedef struct rkd_host rkd_host;
typedef struct rkd_image rkd_image;
typedef struct rkd_grid rkd_grid;

typedef struct rkd_conf {
    bool simulate;          // engine.gpu.simulate: threads of this process in place of a card
    const char *const *env; // NAME=VALUE, NULL terminated; may be NULL
} rkd_conf;

typedef struct rkd_info {
    char name[128];
    uint32_t major, minor; // compute capability
    uint32_t processors;   // multiprocessors
    uint64_t memory;       // bytes
    bool usable;
    char why[160]; // it is not usable
} rkd_info;

typedef struct rkd_chain_conf {
    uint32_t blocks, threads;     // threads: the same for all chains of a grid
    uint32_t slots_log2;          // frames on their way at most
    uint64_t in_bytes, out_bytes; // of a slot
    uint64_t start;               // its first position
} rkd_chain_conf;

// What an image takes of the device.
typedef struct rkd_image_info {
    uint32_t registers, local_bytes, shared_bytes; // of a thread, of a thread, of a block
    char arch[16];                                 // "sm_90"
} rkd_image_info;

typedef struct rkd_module {
    uint32_t abi, size;
    const char *name; // "cuda"
    // RKP_UNAVAILABLE and why: no driver, no compiler.
    rkp_status (*open)(const rkd_conf *c, rkd_host **out, char *err, size_t n);
    void (*close)(rkd_host *h);
    const char *(*what)(const rkd_host *h); // "CUDA driver 13.0", "simulated"
    uint32_t (*devices)(const rkd_host *h);
    void (*info)(const rkd_host *h, uint32_t device, rkd_info *out);
    // RKP_INVALID and the compiler's words: the source is wrong; RKP_UNAVAILABLE: no compiler, or the device is not usable.
    rkp_status (*build)(rkd_host *h, uint32_t device, rkp_str source, rkd_image **out, char *err, size_t n);
    void (*image_info)(const rkd_image *i, rkd_image_info *out);
    void (*image_free)(rkd_image *i);
    // Reserves everything; nothing runs yet.  RKP_UNSUPPORTED: the blocks do not fit on the device together.
    rkp_status (*grid_new)(rkd_image *i, const rkd_chain_conf *chains, uint32_t n, uint64_t orphan_ns, rkd_grid **out,
                           char *err, size_t n_err);
    // Host addresses of slot 0, and of the control words of the chain's first block.
    rkd_in *(*grid_in)(rkd_grid *g, uint32_t chain);
    rkd_out *(*grid_out)(rkd_grid *g, uint32_t chain);
    rkd_ctl *(*grid_ctl)(rkd_grid *g, uint32_t chain);
    rkp_status (*grid_start)(rkd_grid *g, char *err, size_t n);
    // RKP_OK while it is resident, RKP_DONE_ .. see below; RKP_IO and why: the device is lost.
    rkp_status (*grid_look)(rkd_grid *g, bool *ended, char *err, size_t n);
    void (*grid_beat)(rkd_grid *g); // the host lives; any thread
    // Every block leaves between two frames.  RKP_TIMEOUT_: some did not until the deadline (monotonic): the device must be given up.
    rkp_status (*grid_stop)(rkd_grid *g, uint64_t deadline_ns, char *err, size_t n);
    void (*grid_free)(rkd_grid *g); // it has ended, or never began
} rkd_module;

#endif
