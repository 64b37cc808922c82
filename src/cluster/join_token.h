#pragma once
#include "base/error.h"

/*
 * What lets a new node in without root's password, as values: the one-time token, and the entry of
 * a node that is about to join. Both files hold hashes only, and are changed in the same update as
 * corosync.conf.
 *
 * priv/join-tokens.json    {"tokens":[{"hash":"SHA256","expires":UNIX}]}
 * priv/join-pending.json   {"nodes":{"n2":{"hash":"SHA256","votes":1,"added":UNIX}}}
 */
#define JOIN_TOKENS_FILE "priv/join-tokens.json"
#define JOIN_PENDING_FILE "priv/join-pending.json"
#define JOIN_TOKEN_TTL_S 900
#define JOIN_PENDING_S 600 /* an entry that never completes dies after this */
#define JOIN_SECRET_BYTES 32

/** join_secret_new: (transfer full): hexadecimal, from the kernel's generator */
char *join_secret_new(void);

typedef struct {
    char *host, *fingerprint, *secret;
} JoinToken;

/** join_token_parse: "HOST#FINGERPRINT#SECRET". Errors: Q_ERROR_INVALID. */
bool join_token_parse(const char *text, JoinToken *token, GError **error);
char *join_token_text(const char *host, const char *fingerprint, const char *secret);
void join_token_clear(JoinToken *token);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JoinToken, join_token_clear)

/* Both take the file's text (NULL: no file) and return the new one (transfer full). Tokens past
 * their end are dropped on the way. */
char *join_tokens_add(const char *text, const char *secret, int64_t expires_s, int64_t now_s);
/** join_tokens_spend: Errors: Q_ERROR_DENIED: no such token, or it is over. */
char *join_tokens_spend(const char *text, const char *secret, int64_t now_s, GError **error);

typedef struct {
    int64_t votes;   /* that the node gets once it is durable */
    int64_t added_s; /* unix time, for people: the end is measured by who watches the entry */
} JoinPending;

char *join_pending_add(const char *text, const char *node, const char *secret, int64_t votes,
                       int64_t now_s);
char *join_pending_remove(const char *text, const char *node);
bool join_pending_get(const char *text, const char *node, JoinPending *pending); /* false: none */
bool join_pending_knows(const char *text, const char *node, const char *secret);
char **join_pending_nodes(const char *text); /* (transfer full): sorted */
