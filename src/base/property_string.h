#pragma once
#include "base/error.h"

/*
 * Property strings: "st:9/disk.qcow2,size=4G,discard=on". Comma separated KEY=VALUE; one key may be
 * the default key, whose value stands without a name. A table of rows says which keys there are;
 * the same rows check what is typed, print it back, and document it.
 */
typedef enum {
    Q_PROPERTY_STRING,
    Q_PROPERTY_BOOL, /* 1 on yes true / 0 off no false, printed as 1 and 0 */
    Q_PROPERTY_INT,  /* digits only */
    Q_PROPERTY_NUMBER,
    Q_PROPERTY_SIZE, /* bytes, with unit K M G T; printed with the largest exact unit */
    Q_PROPERTY_OLD,  /* read and forgotten */
} QPropertyType;

typedef struct {
    const char *name; /* NULL ends the table */
    QPropertyType type;
    bool required;
    bool is_default;   /* the default key */
    const char *alias; /* this is another name of that key */
    const char *keyed; /* with @alias: NAME=VALUE means keyed=NAME,alias=VALUE, and is printed so */
    int64_t divide;    /* with @alias: the value divided by this, with three decimals */
    const char *words; /* the words allowed, blank between */
    const char *pattern;  /* regular expression for the whole value */
    double min, max;      /* both 0: no bounds */
    int max_length;       /* 0: none */
    const char *standard; /* default, for the documentation */
    const char *doc;
} QPropertyRow;

/* Files are read leniently: names and basic types only. What a user sets is checked in full. */
typedef enum { Q_PROPERTY_LENIENT, Q_PROPERTY_STRICT } QPropertyCheck;

typedef struct QPropertyString QPropertyString;

/**
 * q_property_string_parse:
 * @rows: must outlive the result
 *
 * Errors: Q_ERROR_INVALID, "NAME: why": unknown key, key given twice (also by an alias), `key=`
 *   without value, a value without key where none may stand, required key missing.
 */
QPropertyString *q_property_string_parse(const QPropertyRow *rows, const char *text,
                                         QPropertyCheck check, GError **error);
QPropertyString *q_property_string_new(const QPropertyRow *rows);
void q_property_string_free(QPropertyString *string);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QPropertyString, q_property_string_free)

/* The default key bare and first, then required keys, then the others, each group sorted. */
char *q_property_string_text(const QPropertyString *string);

const char *q_property_get(const QPropertyString *string, const char *name, const char *fallback);
bool q_property_bool(const QPropertyString *string, const char *name, bool fallback);
int64_t q_property_int(const QPropertyString *string, const char *name,
                       int64_t fallback); /* SIZE: bytes */
double q_property_number(const QPropertyString *string, const char *name, double fallback);
void q_property_set(QPropertyString *string, const char *name,
                    const char *value); /* NULL removes */

/* ------------------------------------------------------------------ single values, used alike
 * elsewhere */

/** q_parse_bool: Returns: false if @text is none of the eight words (any case) */
bool q_parse_bool(const char *text, bool *value);

/** q_parse_size: "4G", "512M", "1048576K", "512KiB", "42" -> bytes. Units are powers of 1024. */
bool q_parse_size(const char *text, uint64_t *bytes);
char *q_size_text(uint64_t bytes); /* the largest exact unit: "4G", "1025K", "513" */

bool q_matches(const char *pattern, const char *text);  /* the whole of @text */
bool q_is_word_of(const char *words, const char *text); /* blank separated list */
