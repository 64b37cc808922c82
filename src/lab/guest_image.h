#pragma once
#include "base/error.h"

/** lab_guest_image: (transfer full): a folder with vmlinuz and initrd.img of the lab's small guest,
 *  made by tools/mkguest on first use and kept. */
char *lab_guest_image(GError **error);
