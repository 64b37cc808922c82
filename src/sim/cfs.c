#include "sim/cfs.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/json.h"
#include "sim/cfs_run.h"

static const char usage[] =
    "usage: quorate-sim cfs --seeds N [--first S] [--nodes N] [--hours H] [--faults KIND,…]\n"
    "                       [--trace FILE] [--script FILE] [--first-only]\n"
    "kinds of faults: ";

typedef struct {
    gint64 seeds, first;
    int nodes;
    double hours;
    char *faults, *trace, *script;
    gboolean first_only; /* end at the first violation, and do not look for fewer faults */
} Arguments;

static int64_t
wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool
parse_kinds(const char *text, uint32_t *kinds)
{
    g_auto(GStrv) list = g_strsplit(text, ",", -1);

    *kinds = 0;
    for (int i = 0; list[i] != NULL; i++) {
        FaultKind kind;
        if (!fault_kind_parse(list[i], &kind)) {
            fprintf(stderr, "unknown kind of fault '%s'\n%s", list[i], usage);
            for (FaultKind k = 0; k < FAULT_KINDS; k++) {
                fprintf(stderr, "%s%s", k > 0 ? ", " : "", fault_kind_name(k));
            }
            fputc('\n', stderr);
            return false;
        }
        *kinds |= 1u << kind;
    }
    return true;
}

static void
tell_violation(uint64_t seed, const SimRunOptions *options, SimRunResult *result)
{
    g_autoptr(GArray) fewest = sim_shrink(seed, options, result);
    g_autofree char *text = sim_faults_text(fewest);
    g_autofree char *path =
        g_strdup_printf("%s/quorate-sim-cfs-%" G_GUINT64_FORMAT ".faults", g_get_tmp_dir(), seed);

    g_file_set_contents(path, text, -1, NULL);
    fprintf(stderr,
            "seed %" G_GUINT64_FORMAT ": %s\n%u faults are left in %s; repeat with:\n"
            "quorate-sim cfs --seeds 1 --first %" G_GUINT64_FORMAT
            " --nodes %u --script %s --trace /dev/stdout\n",
            seed, result->violation, fewest->len, path, seed, options->n_nodes, path);
}

typedef struct {
    uint64_t histories, violations, steps;
    uint64_t counts[FAULT_KINDS];
    uint64_t first_seed;
    int first_invariant;
} Totals;

static void
print_totals(const Totals *totals, double sim_s)
{
    g_autoptr(JsonObject) summary = json_object_new();
    JsonObject *faults = json_object_new();

    for (FaultKind k = 0; k < FAULT_KINDS; k++) {
        printf("%s %" G_GUINT64_FORMAT "\n", fault_kind_name(k), totals->counts[k]);
        json_object_set_int_member(faults, fault_kind_name(k), totals->counts[k]);
    }
    printf("%" G_GUINT64_FORMAT " histories, %" G_GUINT64_FORMAT " violations, %.0f simulated s\n",
           totals->histories, totals->violations, sim_s);
    json_object_set_int_member(summary, "histories", totals->histories);
    json_object_set_int_member(summary, "violations", totals->violations);
    json_object_set_double_member(summary, "sim_s", sim_s);
    json_object_set_object_member(summary, "faults", faults);
    if (totals->violations > 0) {
        JsonObject *first = json_object_new();
        json_object_set_int_member(first, "seed", totals->first_seed);
        json_object_set_int_member(first, "invariant", totals->first_invariant);
        json_object_set_object_member(summary, "first_violation", first);
    } else {
        json_object_set_null_member(summary, "first_violation");
    }
    g_autofree char *line = q_json_object_text(summary, Q_JSON_COMPACT);
    puts(line);
}

static void
run_all(const Arguments *arguments, const SimRunOptions *options, const GArray *script,
        Totals *totals)
{
    for (gint64 i = 0; i < arguments->seeds; i++) {
        uint64_t seed = arguments->first + i;
        SimRunOptions mine = *options;
        SimRunResult result = { 0 };

        if (mine.n_nodes == 0) {
            mine.n_nodes = seed % 4 == 3 ? 5 : 3;
        }
        sim_run(seed, script, &mine, &result);
        totals->histories++;
        totals->steps += result.steps;
        for (FaultKind k = 0; k < FAULT_KINDS; k++) {
            totals->counts[k] += result.counts[k];
        }
        if (result.violation != NULL && totals->violations++ == 0) {
            totals->first_seed = seed;
            totals->first_invariant = result.invariant;
            if (script == NULL && !arguments->first_only) {
                tell_violation(seed, &mine, &result);
            } else {
                fprintf(stderr, "%s\n", result.violation);
            }
        }
        bool enough = arguments->first_only && result.violation != NULL;
        g_free(result.violation);
        if (enough) {
            return;
        }
    }
}

static bool
read_script(const char *path, GArray **script)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    if (path == NULL) {
        return true;
    }
    if (g_file_get_contents(path, &text, NULL, &error)) {
        *script = sim_faults_parse(text, &error);
    }
    if (*script == NULL) {
        fprintf(stderr, "%s: %s\n", path, error->message);
    }
    return *script != NULL;
}

static bool
parse_arguments(int argc, char **argv, Arguments *arguments)
{
    GOptionEntry entries[] = {
        { "seeds", 0, 0, G_OPTION_ARG_INT64, &arguments->seeds, "how many histories", "N" },
        { "first", 0, 0, G_OPTION_ARG_INT64, &arguments->first, "seed of the first", "S" },
        { "nodes", 0, 0, G_OPTION_ARG_INT, &arguments->nodes, "1 to 7 (3, at times 5)", "N" },
        { "hours", 0, 0, G_OPTION_ARG_DOUBLE, &arguments->hours, "of simulated time each", "H" },
        { "faults", 0, 0, G_OPTION_ARG_STRING, &arguments->faults, "only these kinds", "LIST" },
        { "trace", 0, 0, G_OPTION_ARG_FILENAME, &arguments->trace, "write all events", "FILE" },
        { "first-only", 0, 0, G_OPTION_ARG_NONE, &arguments->first_only,
          "end at the first violation", NULL },
        { "script", 0, 0, G_OPTION_ARG_FILENAME, &arguments->script, "these faults", "FILE" },
        { NULL },
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("- histories of the filesystem's core");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
        fprintf(stderr, "%s\n", error != NULL ? error->message : "unexpected argument");
        return false;
    }
    if (arguments->seeds < 1 || arguments->first < 0 || arguments->nodes < 0
        || arguments->nodes > SIM_NODES_MAX || arguments->hours <= 0) {
        fprintf(stderr, "--seeds at least 1, --nodes 1 to %d, --hours above 0\n", SIM_NODES_MAX);
        return false;
    }
    return true;
}

int
sim_cfs_main(int argc, char **argv)
{
    Arguments arguments = { .first = 1, .hours = 0.05 };
    SimRunOptions options = { .kinds = (1u << FAULT_KINDS) - 1 };
    g_autoptr(GArray) script = NULL;
    Totals totals = { 0 };
    int64_t began_ms = wall_ms();

    if (!parse_arguments(argc, argv, &arguments)
        || (arguments.faults != NULL && !parse_kinds(arguments.faults, &options.kinds))
        || !read_script(arguments.script, &script)) {
        return 255;
    }
    options.n_nodes = arguments.nodes;
    options.length_us = (int64_t)(arguments.hours * 3600 * SIM_S);
    if (arguments.trace != NULL && (options.trace = fopen(arguments.trace, "we")) == NULL) {
        fprintf(stderr, "cannot write '%s'\n", arguments.trace);
        return 1;
    }
    run_all(&arguments, &options, script, &totals);
    double sim_s = totals.histories * arguments.hours * 3600;
    print_totals(&totals, sim_s);
    fprintf(stderr, "%.0f simulated s/s, %.1f histories/s, %" G_GUINT64_FORMAT " steps\n",
            sim_s * 1000 / MAX(wall_ms() - began_ms, 1),
            totals.histories * 1000.0 / MAX(wall_ms() - began_ms, 1), totals.steps);
    if (options.trace != NULL) {
        fclose(options.trace);
    }
    g_free(arguments.faults);
    g_free(arguments.trace);
    g_free(arguments.script);
    return totals.violations > 0;
}
