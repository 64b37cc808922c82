#pragma once
#include "guest/file.h"
#include "guest/lifecycle.h"
#include "guest/process.h"
#include "guest/record.h"

#define GUEST_LOCK_MS 10000
#define GUEST_PROOF_MS 10000 /* a large guest frees its memory for seconds before it is gone */

void guest_say(const GuestCall *call, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** guest_finish: after the end of QEMU: kills what is left in the gate, proves it dead, removes
 *  ports and sockets, clears this node's run record (if @cfs can be asked). */
bool guest_finish(const GuestCall *call, GError **error);
