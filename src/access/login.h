#pragma once
#include "base/error.h"

typedef struct {
    const char *username; /* "root@pam", or without realm */
    const char *realm;    /* (nullable) */
    const char *password; /* or a ticket */
    const char *client;   /* (nullable): address of who asks */
} LoginRequest;

/**
 * login_check:
 * @user: (out) (transfer full): "root@pam"
 *
 * A ticket as password renews itself; root@pam's ticket is good for any user. Thread-safe; waits
 * for PAM. Every failure is logged with its reason, which the caller does not learn.
 *
 * Errors: Q_ERROR_UNAUTHENTICATED "authentication failure"; Q_ERROR_BUSY with HTTP status 429: too
 *   many failures from there or for that name
 */
bool login_check(const LoginRequest *request, char **user, GError **error);
