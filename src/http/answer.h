#pragma once
#include "base/json.h"

/*
 * The envelopes of the API: {"data":…} with "total", or {"data":null,"message":…,"errors":{…}}; for
 * extjs "success" and "status" inside, and always 200.
 */
typedef enum { HTTP_JSON, HTTP_EXTJS } HttpFormat;

typedef struct {
    int status;
    char *phrase; /* first line of the message, printable ASCII */
    char *body;   /* NULL: none */
} HttpAnswer;

void http_answer_clear(HttpAnswer *answer);

/** http_answer_ok: @data (transfer none); @total -1: none */
HttpAnswer http_answer_ok(HttpFormat format, JsonNode *data, int64_t total);
HttpAnswer http_answer_error(HttpFormat format, const GError *error);

/** http_answer_read: the other way: what another node answered.
 *  Returns: (transfer full): its data; NULL with the error that it told */
JsonNode *http_answer_read(int status, const char *phrase, GBytes *body, int64_t *total,
                           GError **error);
