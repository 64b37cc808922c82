#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/*
 * The one error domain. A code says what a caller can do about it; the message names the thing,
 * the cause and the way out, in words for an administrator. HTTP status and exit code of each
 * code stand in one table (error.c).
 */
typedef enum {
    Q_ERROR_INVALID,         /* what was asked cannot be: bad value, bad syntax, bad usage */
    Q_ERROR_UNAUTHENTICATED, /* nobody knows who asks */
    Q_ERROR_DENIED,          /* known, but without the right */
    Q_ERROR_NOT_FOUND,
    Q_ERROR_EXISTS,
    Q_ERROR_BUSY,     /* another holds it; may be free later */
    Q_ERROR_CONFLICT, /* it changed since it was read: read again and decide again */
    Q_ERROR_FULL,     /* a limit or a disk */
    Q_ERROR_TIMEOUT,  /* not done in time, and known not to be done */
    Q_ERROR_IO,
    Q_ERROR_INTERNAL,    /* our mistake */
    Q_ERROR_UNKNOWN,     /* may still happen, may not (safety.md S14): look before acting on it */
    Q_ERROR_NO_QUORUM,   /* nothing may change */
    Q_ERROR_UNREACHABLE, /* another node or a daemon does not answer */
    Q_ERROR_UNSUPPORTED,
} QError;
#define Q_ERROR_CODES (Q_ERROR_UNSUPPORTED + 1)

#define Q_ERROR (q_error_quark())
GQuark q_error_quark(void);

/**
 * q_set_error:
 * @error: (out) (optional): must be unset if not %NULL
 *
 * Returns: always false, so that a function can `return q_set_error(…)`
 */
bool q_set_error(GError **error, QError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** q_prefix_error: puts context before the message of @error. Returns: always false. */
bool q_prefix_error(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** q_set_error_errno: as q_set_error(), with the code that fits @errnum and ": strerror" appended.
 */
bool q_set_error_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** q_error_blame: sets @error to Q_ERROR_INVALID "Parameter verification failed." that blames the
 *  parameter @name, or adds to such an error. Returns: always false. */
bool q_error_blame(GError **error, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** q_error_blames: (element-type utf8) (nullable): name, why, name, why, …; borrowed from @error */
const GPtrArray *q_error_blames(const GError *error);

/** q_error_set_http_status: for the few errors whose HTTP status is not that of their code. */
void q_error_set_http_status(GError *error, int status);

int q_error_http_status(const GError *error); /* 500 for errors of other domains */
int q_error_exit_code(const GError *error);   /* 1 for errors of other domains, 255 for usage */

/* The upper-case word used on sockets: "NO_QUORUM". Unknown words parse as Q_ERROR_INTERNAL. */
const char *q_error_code_name(QError code);
QError q_error_code_parse(const char *name);
