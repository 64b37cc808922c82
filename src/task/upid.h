#pragma once
#include <sys/types.h>
#include "base/error.h"

/*
 * A task's name: UPID:NODE:PPPPPPPP:SSSSSSSS:TTTTTTTT:TYPE:ID:USER: (pid, ticks since boot at which
 * the worker started, unix time; upper hex).
 */
typedef struct {
    char *node;
    pid_t pid;
    uint64_t start_ticks;
    int64_t started_at_s;
    char *type; /* "qmstart" */
    char *id;   /* "100", may be "" */
    char *user; /* "root@pam", maybe with "!token" */
} Upid;

/** upid_parse: Errors: Q_ERROR_INVALID "unable to parse worker upid 'TEXT'" */
Upid *upid_parse(const char *text, GError **error);
char *upid_text(const Upid *upid); /* (transfer full) */
void upid_free(Upid *upid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Upid, upid_free)

bool upid_type_is_valid(const char *type);
bool upid_id_is_valid(const char *id);
