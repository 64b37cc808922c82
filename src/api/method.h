#pragma once
#include <stddef.h>
#include "base/json.h"
#include "cfs/client.h"

/*
 * The method table: one constant row per method; REST, pvesh, the commands, completion, permission
 * checks and the reference come from it. How rows look: README.md of this folder. A new file of
 * rows: list it in meson.build and its table in methods.c.
 *
 * Rows are run in threads of apid (several at once, none twice in one thread), in commands, and in
 * task workers: they keep no state of their own and may wait.
 */
typedef enum { API_GET, API_POST, API_PUT, API_DELETE } ApiVerb;

/* What a parameter or an answer is; for parameters, the C type of the field in the arguments. */
typedef enum {
    API_NULL = 0,
    API_STRING,  /* char * */
    API_BOOLEAN, /* bool */
    API_INTEGER, /* int64_t */
    API_NUMBER,  /* double */
    API_NODE,    /* char *; name of a node ("localhost" has become this node's name) */
    API_VMID,    /* uint32_t; 100..999999999 */
    API_STORAGE, /* char *; id of a storage */
    API_ENUM,    /* char *; one of .values */
    API_LIST,    /* char **, NULL-terminated; "a,b;c d", a repeated key or a JSON list */
    API_ARRAY,  /* char **, NULL-terminated; a repeated key or a JSON list; a single value is a list
                   of one */
    API_TEXT,   /* char *; a property string or another format that .check knows */
    API_DIGEST, /* char *; SHA-1 hex of a file as the caller read it */
    API_KIB_S,  /* int64_t; KiB/s, 0: no limit */
    API_FAMILY, /* char **; field `link` is link0..linkMAX, element n is linkN or NULL; .max + 1
                   elements, then a NULL */
    API_SPLICE, /* GHashTable * of char * → char *; all keys that .splice describes; booleans as
                   "0", "1" */
    /* answers only */
    API_UPID,    /* a task's id: run is called in the task's worker */
    API_OBJECT,  /* .columns name its members, if known */
    API_ROWS,    /* a list of objects, .columns */
    API_STRINGS, /* a list of strings or numbers */
    API_ANY,
} ApiKind;

typedef struct ApiCall ApiCall;
typedef struct ApiParam ApiParam;
typedef struct ApiSplice ApiSplice;

/** ApiCheck: a deeper look at a value that has passed the simple checks.
 *  Returns: false with why in @error (the message goes to the parameter's name) */
typedef bool (*ApiCheck)(const char *name, const char *value, GError **error);

struct ApiParam {
    const char *field; /* the field's name: the parameter's name unless .as is given */
    const char *as;    /* by API_NAME("output-format"); for a family the name without [n] */
    const char *doc;   /* one sentence */
    ApiKind kind;
    bool optional;
    const char *def; /* default, as text; bound when the parameter is absent */
    bool has_min, has_max;
    double min, max; /* by API_MIN(n), API_MAX(n); a family's highest index is its max */
    uint16_t min_length, max_length; /* 0: none; characters */
    const char *pattern;             /* regular expression for the whole value */
    const char *const *values;       /* of an API_ENUM */
    const char *
        format; /* a name of api/format.h, "pve-configid", "CIDR", "pve-node-list" (each element) */
    const char *requires; /* another parameter that must be given too */
    const char *doc_type; /* "[file=]VOLUME[,size=SIZE]": shown in help instead of the type */
    bool secret;          /* never logged, never in argv of anything */
    ApiCheck check;
    const ApiSplice *splice;
    size_t offset, args_size; /* by API_PARAM */
    char c_type;
};

/* A set of keys that another module describes (a guest's configuration, say), spliced in. */
struct ApiSplice {
    /** describe: fills @param (field = the key's name, kind, doc, …) for the key number @n, static
     *  strings. Returns: false if there are no more. */
    bool (*describe)(size_t n, ApiParam *param);
    ApiCheck check; /* (nullable) for every key given, with its full name ("net0") */
};

/* The C type that a kind needs; a field of another type does not compile. */
#define API_C_TYPE(KIND)                                                                           \
    ((KIND) == API_BOOLEAN                                               ? 'b'                     \
     : (KIND) == API_INTEGER || (KIND) == API_KIB_S                      ? 'i'                     \
     : (KIND) == API_NUMBER                                              ? 'd'                     \
     : (KIND) == API_VMID                                                ? 'u'                     \
     : (KIND) == API_LIST || (KIND) == API_ARRAY || (KIND) == API_FAMILY ? 'v'                     \
     : (KIND) == API_SPLICE                                              ? 'h'                     \
                                                                         : 's')
#define API_FIELD_TYPE(Type, name_)                                                                \
    _Generic(((Type *)0)->name_,                                                                   \
        bool: 'b',                                                                                 \
        int64_t: 'i',                                                                              \
        double: 'd',                                                                               \
        uint32_t: 'u',                                                                             \
        char *: 's',                                                                               \
        char **: 'v',                                                                              \
        GHashTable *: 'h')

#define API_PARAM(Type, name_, KIND, ...)                                                          \
    {                                                                                              \
        .field = #name_, .kind = (KIND), .offset = offsetof(Type, name_),                          \
        .args_size = sizeof(Type),                                                                 \
        .c_type = API_C_TYPE(KIND)                                                                 \
                  + 0 * sizeof(char[API_C_TYPE(KIND) == API_FIELD_TYPE(Type, name_) ? 1 : -1]),    \
        __VA_ARGS__                                                                                \
    }
#define API_NAME(text) .as = (text)
#define API_MIN(n) .has_min = true, .min = (n)
#define API_MAX(n) .has_max = true, .max = (n)
#define API_VALUES(...)                                                                            \
    .values = (const char *const[])                                                                \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* A member of an answer: of its object, or of each row. Members not named here may appear as well.
 */
typedef struct {
    const char *name;
    ApiKind kind;
    bool optional;
    const char *doc;
    const char *title;    /* head of the text table, if not the name */
    const char *renderer; /* "bytes", "timestamp", "duration", "fraction_as_percentage" */
} ApiColumn;

typedef JsonNode *(*ApiRun)(ApiCall *call, const void *args, GError **error);

typedef struct {
    ApiVerb verb;
    const char *path; /* "/nodes/{node}/qemu/{vmid}/migrate"; NULL: command line only, then .name */
    const char *name; /* "qm_showcmd": unique; needed without path (also names internal tasks) */
    const char *doc;
    const ApiParam *params;   /* ends with { 0 }; path parameters are among them; NULL: none */
    ApiKind returns;          /* 0: null */
    const ApiColumn *columns; /* of API_OBJECT and API_ROWS; ends with { 0 } */

    /* Who may (interfaces.md 6 of the design): perm(PATH, P, …) all of, any(PATH, P, …), all,
     * world, root, self(userid), realm(userid), group(P, …), modify(PATH), and(…), or(…); {x} in
     * PATH is a parameter, x?perm(…) asks only if x is given; a trailing +: run checks more. */
    const char *access;
    bool no_token;       /* API tokens are refused */
    const char *on_node; /* the parameter that names the node where it runs: forwarded there */
    bool as_root;        /* needs root on that node */
    bool needs_quorum;   /* refused at once without (Q_ERROR_NO_QUORUM); tasks included */

    /* For API_UPID: the task's type, and the parameter whose value is the task's id (NULL: none).
     */
    const char *task;
    const char *task_id;
    /* (nullable) Called before the task is made, in the caller's process: refuses early with a
     * clear error, or changes the task by api_set_task(). Returns: false with @error set. */
    bool (*prepare)(ApiCall *call, const void *args, GError **error);
    /* Returns: (transfer full): the answer; q_json_node_null() for none; NULL with @error set.
     * @args is the struct of .params; the dispatcher owns it and what it points to. In a task the
     * answer is not used. */
    ApiRun run;
} ApiMethod;

/* ------------------------------------------------------------------ inside run */

struct ApiCall {
    const ApiMethod *method;
    const char *user;   /* "root@pam", or a token: "ci@pve!build" */
    const char *node;   /* this node's name */
    const char *client; /* address of the caller, NULL: this machine */
    bool is_cli;        /* a command of root on this node, standard streams are the user's */
    bool is_task;       /* in a task's worker */
    struct ApiCallPriv *priv;
};

/** api_cfs: Returns: (transfer none): a client of cfsd for this call alone; NULL with
 *  Q_ERROR_UNREACHABLE if cfsd does not run. */
CfsClient *api_cfs(ApiCall *call, GError **error);

bool api_given(const ApiCall *call,
               const char *name); /* was the parameter there (not by default)? */

/** api_log: a line for the user: the task's log, or standard error of a command; else dropped. */
void api_log(ApiCall *call, const char *format, ...) G_GNUC_PRINTF(2, 3);
void api_say(const char *line, gpointer call); /* the same as a callback (guest/lifecycle.h) */

/** api_warn: as api_log() with "WARN: " before; a task with warnings ends "WARNINGS: N". */
void api_warn(ApiCall *call, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** api_may: does the caller hold all of @privileges ("VM.Audit,VM.Migrate") on @path? For rows left
 *  out and for checks beyond .access. */
bool api_may(ApiCall *call, const char *path, const char *privileges);
bool api_is_root(const ApiCall *call); /* root@pam itself, no token of it */

/** api_blame: sets @error to Q_ERROR_INVALID "Parameter verification failed." that blames parameter
 *  @name; further calls add to it. Returns: always false. */
bool api_blame(GError **error, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** api_status: as q_set_error() with an HTTP status of its own (424, 500 for a NOT_FOUND, …).
 *  Returns: always false */
bool api_status(GError **error, QError code, int http_status, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

void api_set_total(ApiCall *call, int64_t total); /* "total" beside "data" */

/** api_set_task: in .prepare: another type or id for the task (NULL: as it is). */
void api_set_task(ApiCall *call, const char *type, const char *id);

/** api_ask_secret: asks on the terminal, without echo. Returns: (transfer full); NULL with
 *  Q_ERROR_INVALID where there is no terminal. */
char *api_ask_secret(ApiCall *call, const char *prompt, GError **error);

/** api_on_node: calls @verb @path on another node (or this one) as this caller, over TLS if it is
 *  elsewhere. @parameters (transfer none) (nullable). Returns: (transfer full): its "data". */
JsonNode *api_on_node(ApiCall *call, const char *node, ApiVerb verb, const char *path,
                      JsonObject *parameters, GError **error);

const char *api_param_name(const ApiParam *param); /* .as, else .field */
