#pragma once
#include "guest/core/config.h"

/*
 * Changes of a configuration. What a running guest cannot take at once waits in [PENDING] and is
 * applied at the next cold start. A volume that leaves its drive stays as unusedN unless it is told
 * to be freed; freeing itself is done by the caller, after the new configuration is committed.
 */
typedef struct {
    uint32_t vmid;
    bool running;
    GPtrArray *freed; /* char *: volumes to delete once the configuration is committed */
} GuestChange;

/** guest_change_set: @value has passed guest_key_check(). */
void guest_change_set(GuestConfig *config, const char *key, const char *value,
                      const GuestChange *change);

/** guest_change_delete: @force: a drive's volume is freed. Deleting an unusedN always frees it. */
void guest_change_delete(GuestConfig *config, const char *key, bool force,
                         const GuestChange *change);

void guest_change_revert(GuestConfig *config, const char *key); /* forgets what waits for @key */

/** guest_pending_apply: moves all of [PENDING] into the main section (the guest does not run). */
void guest_pending_apply(GuestConfig *config, const GuestChange *change);

/** guest_config_effective: Returns: (transfer full): the main section as it will be at the next
 * start */
GuestConfig *guest_config_effective(const GuestConfig *config);

/** guest_check_boot: Errors: Q_ERROR_INVALID if `boot: order=` names a device that is not there. */
bool guest_check_boot(const GuestSection *section, GError **error);

/** guest_volume_is_owned: whether the volume's name says that it belongs to @vmid. */
bool guest_volume_is_owned(const char *volume, uint32_t vmid);

typedef struct {
    char *key;
    char *value;   /* of the main section, or NULL */
    char *pending; /* or NULL */
    int removal;   /* 1: will be removed, 2: with its volume */
} GuestPendingRow;

/** guest_pending_rows: (transfer full) (element-type GuestPendingRow): every key, sorted */
GPtrArray *guest_pending_rows(const GuestConfig *config);
