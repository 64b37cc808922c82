#pragma once
#include "base/error.h"

/* What a caller shows of itself, out of its headers. */
typedef enum { HTTP_NOBODY, HTTP_TICKET, HTTP_TOKEN, HTTP_MEMBER } HttpCredentialKind;

typedef struct {
    HttpCredentialKind kind;
    char *text;   /* the ticket; of a token "user@realm!id" */
    char *secret; /* of a token */
} HttpCredentials;

/** http_credentials_read: @cookie, @authorization: the headers, (nullable). What is malformed reads
 *  as a ticket that no key has signed. */
HttpCredentials http_credentials_read(const char *cookie, const char *authorization);
void http_credentials_clear(HttpCredentials *credentials);
