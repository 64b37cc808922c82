#include "cli/options.h"
#include <string.h>
#include "api/bind.h"

static const char *const formats[] = { "text", "json", "json-pretty", "yaml", NULL };

typedef struct {
    const CliGrammar *grammar;
    CliOptions *options;
    char **argv;
    GPtrArray *words; /* borrowed from argv */
} Parse;

void
cli_options_clear(CliOptions *options)
{
    g_clear_pointer(&options->raw, json_object_unref);
    g_clear_pointer(&options->format_text, g_free);
}

static bool
is_boolean_word(const char *text)
{
    static const char *const known[] = {
        "0", "1", "on", "off", "yes", "no", "true", "false", NULL
    };

    return text != NULL && g_strv_contains(known, text);
}

static bool
is_true(const char *text)
{
    return text == NULL || strcmp(text, "1") == 0 || strcmp(text, "on") == 0
           || strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
}

/* A parameter given once is text; given again, a list. Scalars: the last one counts. */
static void
put(JsonObject *raw, const char *name, const char *value, bool list)
{
    JsonNode *before = json_object_get_member(raw, name);

    if (before == NULL || !list) {
        json_object_set_string_member(raw, name, value);
        return;
    }
    JsonArray *all = json_array_new();
    if (JSON_NODE_HOLDS_ARRAY(before)) {
        JsonArray *old = json_node_get_array(before);
        for (guint i = 0; i < json_array_get_length(old); i++) {
            json_array_add_string_element(all, json_array_get_string_element(old, i));
        }
    } else {
        json_array_add_string_element(all, json_node_get_string(before));
    }
    json_array_add_string_element(all, value);
    json_object_set_array_member(raw, name, all);
}

static const char *
real_name(const CliGrammar *grammar, const char *name)
{
    for (const char *const *pair = grammar->aliases; pair != NULL && *pair != NULL; pair += 2) {
        if (strcmp(pair[0], name) == 0) {
            return pair[1];
        }
    }
    return name;
}

/* Options of every command. Returns whether @name was one; @value may take the next argument. */
static bool
engine_option(Parse *parse, const char *name, const char *value, bool *took_next, GError **error)
{
    CliOptions *options = parse->options;
    struct {
        const char *name;
        bool *flag;
        bool when_true;
    } flags[] = {
        { "noheader", &options->header, false },
        { "noborder", &options->border, false },
        { "human-readable", &options->human, true },
        { "quiet", &options->quiet, true },
        { "help", &options->help, true },
        { parse->grammar->extra ? "noproxy" : "help", &options->noproxy, true },
        { parse->grammar->extra ? "nooutput" : "help", &options->nooutput, true },
    };
    const char *next = value != NULL ? value : *parse->argv;

    if (strcmp(name, "output-format") == 0) {
        if (next == NULL || !g_strv_contains(formats, next)) {
            q_set_error(
                error, Q_ERROR_INVALID,
                "unable to parse option: --output-format is text, json, json-pretty or yaml");
            return true;
        }
        g_free(options->format_text);
        options->format = options->format_text = g_strdup(next);
        *took_next = value == NULL;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (strcmp(flags[i].name, name) == 0) {
            bool has_word = value != NULL || is_boolean_word(*parse->argv);
            *flags[i].flag = is_true(has_word ? next : NULL) == flags[i].when_true;
            *took_next = value == NULL && has_word;
            return true;
        }
    }
    return false;
}

static bool
parse_option(Parse *parse, const char *argument, GError **error)
{
    const char *text = argument + (argument[1] == '-' ? 2 : 1);
    size_t length = strcspn(text, "=");
    g_autofree char *typed = g_strndup(text, length);
    const char *name = real_name(parse->grammar, typed);
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    ApiParam param;
    bool took_next = false;

    if (!api_param_for(parse->grammar->method != NULL ? parse->grammar->method->params : NULL, name,
                       &param)) {
        g_autoptr(GError) cause = NULL;
        if (engine_option(parse, name, value, &took_next, &cause)) {
            parse->argv += took_next;
            if (cause != NULL) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
            }
            return true;
        }
        return q_set_error(error, Q_ERROR_INVALID, "unable to parse option: unknown option '%s'",
                           argument);
    }
    if (value == NULL && param.kind == API_BOOLEAN && !is_boolean_word(*parse->argv)) {
        value = "1";
    } else if (value == NULL && *parse->argv == NULL) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "unable to parse option: '%s' requires an argument", argument);
    } else if (value == NULL) {
        value = *parse->argv++;
    }
    put(parse->options->raw, name, value, param.kind == API_LIST || param.kind == API_ARRAY);
    return true;
}

static bool
is_rest(const char *word)
{
    return g_str_has_suffix(word, "...");
}

static bool
place_words(Parse *parse, GError **error)
{
    const char *const *word = parse->grammar->words;
    guint next = 0;

    for (; word != NULL && *word != NULL; word++) {
        g_autofree char *name = g_strndup(*word, strlen(*word) - (is_rest(*word) ? 3 : 0));
        ApiParam param = { 0 };
        bool optional = api_param_for(parse->grammar->method->params, name, &param)
                        && (param.optional || param.def != NULL);
        if (next == parse->words->len) {
            if (optional || json_object_has_member(parse->options->raw, name)) {
                continue;
            }
            return q_set_error(error, Q_ERROR_INVALID, "not enough arguments");
        }
        do {
            put(parse->options->raw, name, parse->words->pdata[next++],
                param.kind == API_LIST || param.kind == API_ARRAY);
        } while (is_rest(*word) && next < parse->words->len);
    }
    if (next < parse->words->len) {
        return q_set_error(error, Q_ERROR_INVALID, "too many arguments");
    }
    return true;
}

bool
cli_options_parse(const CliGrammar *grammar, char **argv, CliOptions *options, GError **error)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    Parse parse = { .grammar = grammar, .options = options, .argv = argv, .words = words };
    bool only_words = false;

    *options = (CliOptions){
        .raw = json_object_new(), .format = "text", .header = true, .border = true, .human = true
    };
    while (*parse.argv != NULL) {
        char *argument = *parse.argv++;
        if (!only_words && strcmp(argument, "--") == 0) {
            only_words = true;
        } else if (!only_words && argument[0] == '-' && argument[1] != '\0'
                   && !g_ascii_isdigit(argument[1])) {
            if (!parse_option(&parse, argument, error)) {
                return false;
            }
        } else {
            g_ptr_array_add(words, argument);
        }
    }
    return options->help || place_words(&parse, error);
}
