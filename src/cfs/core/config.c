#include "cfs/core/config.h"
#include <string.h>

Config *
config_new(void)
{
    Config *config = g_new0(Config, 1);

    config->references = 1;
    return config;
}

Config *
config_ref(Config *config)
{
    config->references++;
    return config;
}

void
config_unref(Config *config)
{
    if (config == NULL || --config->references > 0)
        return;
    g_free(config->voters);
    g_free(config->old);
    g_free(config);
}

Config *
config_sole(uint32_t node_id, const char *node, uint64_t database, uint64_t cluster,
            uint64_t lineage)
{
    Config *config = config_new();

    config->number = 1;
    config->cluster = cluster;
    config->lineage = lineage;
    config->n = 1;
    config->voters = g_new0(ConfigVoter, 1);
    config->voters[0] = (ConfigVoter){ .node_id = node_id, .weight = 1, .database = database };
    g_strlcpy(config->voters[0].node, node, sizeof config->voters[0].node);
    return config;
}

/* ------------------------------------------------------------------ encoding */

static void
put_voters(GByteArray *bytes, const ConfigVoter *voters, size_t n)
{
    q_put_var(bytes, n);
    for (size_t i = 0; i < n; i++) {
        q_put_var(bytes, voters[i].node_id);
        q_put_var(bytes, voters[i].weight);
        q_put_u64(bytes, voters[i].database);
        q_put_var(bytes, voters[i].joined);
        q_put_text(bytes, voters[i].node);
    }
}

static size_t
get_voters(QReader *reader, ConfigVoter **list)
{
    size_t n = q_get_count(reader, 12);

    if (n > CONFIG_VOTERS_MAX) {
        reader->failed = true;
        return 0;
    }
    ConfigVoter *voters = *list = g_new0(ConfigVoter, n + 1); /* room for one that is added */
    for (size_t i = 0; i < n; i++) {
        voters[i].node_id = (uint32_t)q_get_var(reader);
        voters[i].weight = (uint32_t)q_get_var_max(reader, 1000000);
        voters[i].database = q_get_u64(reader);
        voters[i].joined = q_get_var(reader);
        q_get_text_into(reader, voters[i].node, sizeof voters[i].node);
    }
    return n;
}

GBytes *
config_encode(const Config *config)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_var(bytes, config->number);
    q_put_u64(bytes, config->cluster);
    q_put_u64(bytes, config->lineage);
    put_voters(bytes, config->voters, config->n);
    put_voters(bytes, config->old, config->n_old);
    return g_byte_array_free_to_bytes(bytes);
}

Config *
config_decode(GBytes *bytes)
{
    g_autoptr(Config) config = config_new();
    QReader reader;

    q_reader_init_bytes(&reader, bytes);
    config->number = q_get_var(&reader);
    config->cluster = q_get_u64(&reader);
    config->lineage = q_get_u64(&reader);
    config->n = get_voters(&reader, &config->voters);
    config->n_old = get_voters(&reader, &config->old);
    return q_reader_done(&reader) ? g_steal_pointer(&config) : NULL;
}

Config *
config_of(const Records *records)
{
    GBytes *value = records_get(records, "config");

    return value == NULL ? NULL : config_decode(value);
}

/* ------------------------------------------------------------------ counting */

static uint64_t
total_weight(const ConfigVoter *voters, size_t n)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += voters[i].weight;
    return total;
}

static bool
set_majority(const ConfigVoter *voters, size_t n, ConfigCounts counts, gconstpointer data)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (voters[i].weight > 0 && counts(&voters[i], data))
            sum += voters[i].weight;
    }
    return 2 * sum > total_weight(voters, n);
}

bool
config_majority(const Config *config, ConfigCounts counts, gconstpointer data)
{
    return set_majority(config->voters, config->n, counts, data)
           && (config->n_old == 0 || set_majority(config->old, config->n_old, counts, data));
}

static const ConfigVoter *
find_voter(const ConfigVoter *voters, size_t n, uint32_t node_id, uint64_t database)
{
    for (size_t i = 0; i < n; i++) {
        if (voters[i].database == database && database != 0
            && (voters[i].node_id == node_id || n == 1))
            return &voters[i];
    }
    return NULL;
}

const ConfigVoter *
config_voter(const Config *config, uint32_t node_id, uint64_t database)
{
    const ConfigVoter *voter = find_voter(config->voters, config->n, node_id, database);

    /* Who leaves still counts among the old until the change is committed. */
    return voter != NULL ? voter : find_voter(config->old, config->n_old, node_id, database);
}

bool
config_has_node(const Config *config, uint32_t node_id)
{
    for (size_t i = 0; i < config->n; i++) {
        if (config->voters[i].node_id == node_id)
            return true;
    }
    return false;
}

char *
config_text(const Config *config)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < config->n; i++)
        g_string_append_printf(text, "%s%s %u", i == 0 ? "" : ", ", config->voters[i].node,
                               config->voters[i].weight);
    if (config->n_old > 0)
        g_string_append(text, " (being changed)");
    return g_string_free(text, FALSE);
}

/* ------------------------------------------------------------------ changes */

static UpdateCode
change_voters(Config *config, GBytes *wanted)
{
    g_autoptr(Config) next = config_decode(wanted);

    if (next == NULL || next->n == 0 || total_weight(next->voters, next->n) == 0)
        return UPDATE_BAD;
    g_free(config->old);
    config->old = g_steal_pointer(&config->voters);
    config->n_old = config->n;
    config->voters = g_steal_pointer(&next->voters);
    config->n = next->n;
    next->n = 0;
    config->number++;
    return UPDATE_DONE;
}

static void
note_joined(Config *config, uint64_t epoch, GBytes *databases)
{
    QReader reader;

    q_reader_init_bytes(&reader, databases);
    for (size_t left = q_get_count(&reader, 8); left > 0; left--) {
        uint64_t database = q_get_u64(&reader);
        for (size_t i = 0; i < config->n; i++) {
            if (config->voters[i].database == database)
                config->voters[i].joined = MAX(config->voters[i].joined, epoch);
        }
    }
}

UpdateCode
config_change_apply(Edit *edit, const UpdateChange *change)
{
    g_autoptr(Config) config = config_of(edit->state->records);
    UpdateCode code = UPDATE_DONE;

    if (config == NULL)
        return UPDATE_BAD;
    if (change->kind == CHANGE_EPOCH) {
        note_joined(config, (uint64_t)change->number, change->data);
    } else if (config->number != (uint64_t)change->number) {
        return UPDATE_CONFLICT;
    } else if (change->kind == CHANGE_CONFIG) {
        if (config->n_old > 0)
            return UPDATE_CONFLICT; /* S4: one at a time */
        code = change_voters(config, change->data);
    } else {
        config->n_old = 0;
    }
    if (code == UPDATE_DONE)
        edit_record(edit, "config", config_encode(config));
    return code;
}

/* ------------------------------------------------------------------ corosync.conf */

typedef struct {
    GArray *voters;
    ConfigVoter node;
    char section[64], subsection[64]; /* "nodelist", "node" */
    int depth;
    bool has_id;
    char tie_node[64];
    bool tie_breaker;
} ConfReader;

static void
conf_open(ConfReader *conf, const char *name)
{
    conf->depth++;
    if (conf->depth == 1)
        g_strlcpy(conf->section, name, sizeof conf->section);
    else if (conf->depth == 2)
        g_strlcpy(conf->subsection, name, sizeof conf->subsection);
    if (conf->depth == 2) {
        conf->node = (ConfigVoter){ .weight = 1 };
        conf->has_id = false;
    }
}

static void
conf_close(ConfReader *conf)
{
    if (conf->depth == 2 && strcmp(conf->section, "nodelist") == 0
        && strcmp(conf->subsection, "node") == 0 && conf->has_id
        && conf->voters->len < CONFIG_VOTERS_MAX)
        g_array_append_val(conf->voters, conf->node);
    conf->depth--;
}

static void
conf_value(ConfReader *conf, const char *key, const char *value)
{
    if (conf->depth == 2 && strcmp(conf->subsection, "node") == 0) {
        if (strcmp(key, "nodeid") == 0) {
            conf->node.node_id = (uint32_t)g_ascii_strtoull(value, NULL, 10);
            conf->has_id = conf->node.node_id != 0;
        } else if (strcmp(key, "name") == 0) {
            g_strlcpy(conf->node.node, value, sizeof conf->node.node);
        } else if (strcmp(key, "ring0_addr") == 0 && conf->node.node[0] == '\0') {
            g_strlcpy(conf->node.node, value, sizeof conf->node.node);
        } else if (strcmp(key, "quorum_votes") == 0) {
            conf->node.weight = (uint32_t)MIN(g_ascii_strtoull(value, NULL, 10), 1000);
        }
    } else if (conf->depth == 1 && strcmp(conf->section, "quorum") == 0) {
        if (strcmp(key, "auto_tie_breaker") == 0)
            conf->tie_breaker = strcmp(value, "1") == 0;
        else if (strcmp(key, "auto_tie_breaker_node") == 0)
            g_strlcpy(conf->tie_node, value, sizeof conf->tie_node);
    }
}

static void
conf_line(ConfReader *conf, char *line)
{
    g_strstrip(line);
    size_t length = strlen(line);
    char *colon = strchr(line, ':');

    if (*line == '\0' || *line == '#')
        return;
    if (line[length - 1] == '{') {
        line[length - 1] = '\0';
        conf_open(conf, g_strstrip(line));
    } else if (strcmp(line, "}") == 0) {
        conf_close(conf);
    } else if (colon != NULL) {
        *colon = '\0';
        conf_value(conf, g_strstrip(line), g_strstrip(colon + 1));
    }
}

static int
compare_voters(gconstpointer a, gconstpointer b)
{
    uint32_t x = ((const ConfigVoter *)a)->node_id, y = ((const ConfigVoter *)b)->node_id;

    return x < y ? -1 : x > y;
}

/* S2: one fixed node gets half a vote more; all weights doubled so that they stay whole. */
static void
apply_tie_breaker(ConfReader *conf)
{
    guint n = conf->voters->len;
    uint32_t fixed = g_array_index(conf->voters, ConfigVoter, 0).node_id;

    if (g_str_has_prefix(conf->tie_node, "highest"))
        fixed = g_array_index(conf->voters, ConfigVoter, n - 1).node_id;
    else if (g_ascii_isdigit(conf->tie_node[0]))
        fixed = (uint32_t)g_ascii_strtoull(conf->tie_node, NULL, 10);
    for (guint i = 0; i < n; i++) {
        ConfigVoter *voter = &g_array_index(conf->voters, ConfigVoter, i);
        voter->weight = voter->weight * 2 + (voter->node_id == fixed && voter->weight > 0);
    }
}

bool
config_wanted(GBytes *corosync_conf, GArray *voters)
{
    ConfReader conf = { .voters = voters };
    gsize length;
    const char *data = g_bytes_get_data(corosync_conf, &length);
    g_autofree char *text = g_strndup(length > 0 ? data : "", length);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line != NULL && conf.depth >= 0; line++)
        conf_line(&conf, *line);
    if (conf.depth != 0 || voters->len == 0)
        return false;
    g_array_sort(voters, compare_voters);
    for (guint i = 1; i < voters->len; i++) {
        if (g_array_index(voters, ConfigVoter, i).node_id
            == g_array_index(voters, ConfigVoter, i - 1).node_id)
            return false;
    }
    if (conf.tie_breaker)
        apply_tie_breaker(&conf);
    return true;
}
