#pragma once
#include "base/error.h"

/**
 * pam_check:
 * @name: an account of this machine
 * @client: (nullable): address of who asks, for PAM's records
 *
 * Asks PAM (service proxmox-ve-auth, else login), which may wait; at once, without PAM's own delay.
 *
 * Returns: false with Q_ERROR_UNAUTHENTICATED and PAM's reason, for the log only
 */
bool pam_check(const char *name, const char *password, const char *client, GError **error);
