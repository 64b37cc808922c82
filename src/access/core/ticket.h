#pragma once
#include "base/error.h"

/*
 * The text of a ticket: KIND:DATA:HHHHHHHH::SIGNATURE (time in hex; KIND:HHHHHHHH::SIGNATURE
 * without data), signed over all before "::", with ":AAD" appended where the kind binds more (a
 * console, a root call to another node). Signing and verifying stand in access/keys.h.
 */
typedef struct {
    char *kind; /* "PVE", "PVEVNC", "PVETUNNEL", "PVENODE" */
    char *data; /* unescaped; "" if none */
    int64_t made_at_s;
    char *plain;     /* what was signed, without AAD */
    char *signature; /* base64 */
} Ticket;

enum { TICKET_MAX_LENGTH = 4096 };

Ticket *ticket_parse(const char *text, GError **error);
void ticket_free(Ticket *ticket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ticket, ticket_free)

/** ticket_plain: (transfer full): what is to be signed. @data (nullable). */
char *ticket_plain(const char *kind, const char *data, int64_t now_s);
char *ticket_signed_text(const char *plain, const char *aad); /* (transfer full); @aad (nullable) */

/** ticket_age_is_good: by the kind's limits; a kind that is not known never is. */
bool ticket_age_is_good(const char *kind, int64_t made_at_s, int64_t now_s);

/** csrf_token: (transfer full): "HHHHHHHH:MAC" for @user. */
char *csrf_token(const char *secret, const char *user, int64_t now_s);
bool csrf_token_is_good(const char *token, const char *secret, const char *user, int64_t now_s);

/** csrf_secret: (transfer full): from the content of pve-www.key. */
char *csrf_secret(const char *key_file_text);
