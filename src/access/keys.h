#pragma once
#include "access/core/ticket.h"
#include "cfs/client.h"

/*
 * The cluster's ticket key: signing needs /etc/pve/priv/authkey.key (root), verifying only
 * authkey.pub and, for tickets older than the newest key, authkey.pub.old.
 */

/** keys_sign, keys_verify: RSA PKCS#1 v1.5 with SHA-256; keys as PEM text, signature as base64. */
char *keys_sign(const char *private_pem, const char *text, GError **error);
bool keys_verify(const char *public_pem, const char *text, const char *signature);

/** keys_ticket: (transfer full): a ticket of @kind for @data (nullable), bound to @aad (nullable)
 */
char *keys_ticket(const char *kind, const char *data, const char *aad, GError **error);

/**
 * keys_ticket_check:
 * @data: (out) (transfer full): what it was made for: the user, the node
 *
 * Kind, age, signature.
 *
 * Returns: false with Q_ERROR_UNAUTHENTICATED "permission denied - invalid KIND ticket"
 */
bool keys_ticket_check(const char *text, const char *kind, const char *aad, char **data,
                       GError **error);

/** keys_rotate: makes a new key if the present one is 24 h old (or of the future), in one update;
 *  does nothing without quorum. Returns: whether there is a new one */
bool keys_rotate(CfsClient *cfs, GError **error);

/** keys_csrf_secret: (transfer full): NULL with Q_ERROR_NOT_FOUND before a cluster has its keys */
char *keys_csrf_secret(GError **error);
