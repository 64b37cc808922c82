#pragma once
#include "api/method.h"

/*
 * From raw parameters (text, numbers, JSON; from a path, a query, a body or a command line) to the
 * struct that a method's run gets. Every bad parameter is named in the error.
 */
typedef enum {
    API_FROM_HTTP,
    API_FROM_COMMAND, /* booleans may be on, off, yes, no, true, false */
} ApiOrigin;

typedef struct {
    const ApiParam *params;
    void *data;        /* the struct */
    GHashTable *given; /* set of names that were there */
    GHashTable
        *texts; /* name → text of each scalar, defaults too: for access expressions and ids */
} ApiArgs;

/**
 * api_bind:
 * @params: (nullable): ends with { 0 }
 * @raw: (nullable): members are strings, numbers, booleans, or arrays of them; null is absent
 * @node: this node's name, for "localhost"
 *
 * Returns: (transfer full): NULL with Q_ERROR_INVALID that blames each bad parameter
 */
ApiArgs *api_bind(const ApiParam *params, JsonObject *raw, ApiOrigin origin, const char *node,
                  GError **error);
void api_args_free(ApiArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ApiArgs, api_args_free)

/** api_check_value: the checks of one parameter on one text. @text may be replaced by its normal
 * form (a boolean's "0" or "1"). @why (out) (transfer full): the reason if false */
bool api_check_value(const ApiParam *param, const char *name, ApiOrigin origin, char **text,
                     char **why);

/** api_param_for: the parameter that takes the raw name @name ("net0" finds the family net),
 * looking into splices too. @found (out): a copy of the row. */
bool api_param_for(const ApiParam *params, const char *name, ApiParam *found);

const char *api_kind_name(ApiKind kind); /* "string", "boolean", "integer", "number", "array", … */
