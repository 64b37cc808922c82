#pragma once
#include "api/bind.h"
#include "task/worker.h"

/*
 * A call of a method: bind, allow, place, run, check (README). Thread-safe; each call has its own
 * client of cfsd.
 */
typedef struct ApiSession ApiSession;

/* What a program brings: things that stand above this folder. */
typedef struct {
    /** forward: the same call on another node over TLS. @parameters without those of @path. With
     *  neither cookie nor authorization in @session: as root, by a PVENODE ticket.
     *  Returns: (transfer full): its "data"; @total (out): its "total", or -1 */
    JsonNode *(*forward)(const ApiSession *session, const char *node, ApiVerb verb,
                         const char *path, JsonObject *parameters, int64_t *total, GError **error);
    /** ask: a secret from the terminal, without echo. NULL: there is no terminal. */
    char *(*ask)(const char *prompt, GError **error);
} ApiHost;

struct ApiSession {
    const ApiHost *host;
    const char *user;   /* NULL: nobody has logged in */
    const char *client; /* address; NULL: this machine */
    const char *node;   /* this node */
    ApiOrigin origin;
    bool is_cli;
    bool no_forward; /* it came from another node already, or --noproxy */
    const char *cookie, *authorization,
        *csrf; /* (nullable) as the caller sent them, for forwarding */
};

/** api_find: the method behind @verb and @path ("/nodes/node1/qemu"; parts %-decoded if @encoded);
 *  the path's parameters are added to @raw.
 *  Errors: Q_ERROR_UNSUPPORTED "Method 'GET /x' not implemented"; Q_ERROR_INVALID: a parameter of
 * the path was in @raw with another value */
const ApiMethod *api_find(ApiVerb verb, const char *path, bool encoded, JsonObject *raw,
                          GError **error);

/** api_find_id: "POST /nodes/{node}/…" or the name of a row. NULL: none. */
const ApiMethod *api_find_id(const char *id);
char *api_method_id(const ApiMethod *method); /* (transfer full) */
const char *api_verb_name(ApiVerb verb);      /* "GET" */
bool api_verb_parse(const char *name, ApiVerb *verb);

typedef struct {
    int64_t total; /* -1: none */
    char *upid;    /* of the task that was started; NULL: none. For the audit. */
} ApiExtra;

/** api_call: Returns: (transfer full): the answer; NULL with @error. @raw (nullable); @extra (out)
 *  (optional): free upid. */
JsonNode *api_call(const ApiSession *session, const ApiMethod *method, JsonObject *raw,
                   ApiExtra *extra, GError **error);

/** api_task_init: what workers may use; before task_run_main(). */
void api_task_init(const ApiHost *host);

/** api_task_run: a TaskRunFunc (task/worker.h): runs the method in this worker. */
bool api_task_run(const TaskWork *work, int *warnings, GError **error);

/** api_answer_complaint: (transfer full) (nullable): why @answer is not what the row's returns say.
 */
char *api_answer_complaint(const ApiMethod *method, JsonNode *answer);

/** api_error_text: (transfer full): for people: the message and what is blamed, a line each:
 *  "400 Parameter verification failed.\nmemory: type check …\n". @with_status: 400 in front. */
char *api_error_text(const GError *error, bool with_status);
