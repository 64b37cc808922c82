#pragma once
#include "base/error.h"

/*
 * The head of an HTTP/1.x request as a value. What is not exactly by the book is refused rather
 * than guessed: two readings of one request is how requests are smuggled.
 */
enum { HTTP_HEAD_MAX_BYTES = 8 * 1024, HTTP_HEAD_MAX_LINES = 64, HTTP_BODY_MAX_BYTES = 512 * 1024 };

typedef struct {
    char *verb;
    char *path;         /* still %-encoded; begins with "/" */
    char *query;        /* behind "?"; "" if none */
    int minor;          /* HTTP/1.minor */
    GPtrArray *headers; /* name, value, name, value, … */
    size_t body_length;
    bool keep_alive;
    bool expects_continue;
} HttpHead;

/**
 * http_head_length:
 *
 * Returns: the length of the head with its empty line in @text; 0 if it is not complete yet
 */
size_t http_head_length(const char *text, size_t length);

/**
 * http_head_parse:
 * @text: what http_head_length() counted
 *
 * Returns: (transfer full): NULL with an error whose HTTP status says what is wrong: 400 not
 *   understood or no length that can be believed, 413 body too long, 415 type of the body, 431 too
 *   many lines, 501 verb or chunked body, 506 version
 */
HttpHead *http_head_parse(const char *text, size_t length, GError **error);
void http_head_free(HttpHead *head);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpHead, http_head_free)

const char *http_head_get(const HttpHead *head, const char *name); /* any case; NULL: not there */
