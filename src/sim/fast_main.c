#include "base/json.h"
#include "sim/fast_priv.h"
#include <string.h>

/* quorate-sim fuzz: random histories, counts, and the shrunk story of the first that went wrong. */

typedef struct {
    FastOptions options;
    uint64_t first, seeds;
    char *story;
    char *out;
    guint counts[FAULT_END];
    uint64_t violations, bad_seed;
    int bad_invariant;
    GArray *failovers;
} Fuzz;

static int64_t
wall_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static bool
parse_kinds(const char *text, guint *kinds)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    *kinds = 0;
    for (char **word = words; *word != NULL; word++) {
        guint kind = 0;
        while (kind < FAULT_END && !g_str_equal(fast_fault_name(kind), *word))
            kind++;
        if (kind == FAULT_END)
            return false;
        *kinds |= 1u << kind;
    }
    return true;
}

static bool
parse_arguments(int argc, char **argv, Fuzz *fuzz)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL)
            return false;
        if (g_str_equal(name, "--seeds"))
            fuzz->seeds = g_ascii_strtoull(value, NULL, 10);
        else if (g_str_equal(name, "--first"))
            fuzz->first = g_ascii_strtoull(value, NULL, 10);
        else if (g_str_equal(name, "--nodes"))
            fuzz->options.hosts = MIN((guint)g_ascii_strtoull(value, NULL, 10), FAST_HOSTS);
        else if (g_str_equal(name, "--guests"))
            fuzz->options.guests = (guint)g_ascii_strtoull(value, NULL, 10);
        else if (g_str_equal(name, "--hours"))
            fuzz->options.length_ms = (int64_t)(g_ascii_strtod(value, NULL) * 3600000);
        else if (g_str_equal(name, "--profile"))
            fuzz->options.profile = value;
        else if (g_str_equal(name, "--faults") && parse_kinds(value, &fuzz->options.kinds))
            continue;
        else if (g_str_equal(name, "--story"))
            fuzz->story = argv[i + 1];
        else if (g_str_equal(name, "--out"))
            fuzz->out = argv[i + 1];
        else if (g_str_equal(name, "--trace")) {
            fuzz->options.trace = fopen(value, "we");
            if (fuzz->options.trace == NULL)
                return false;
        } else {
            return false;
        }
    }
    return g_str_equal(fuzz->options.profile, "fast")
           || g_str_equal(fuzz->options.profile, "steady");
}

/* ------------------------------------------------------------------ stories of histories */

static char *
story_text(const Fuzz *fuzz, uint64_t seed, const GArray *faults, const FastResult *result)
{
    g_autoptr(JsonObject) object = json_object_new();
    g_autofree char *name = g_strdup_printf("seed-%" G_GUINT64_FORMAT, seed);
    g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, seed);
    JsonArray *list = json_array_new();

    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "profile", fuzz->options.profile);
    json_object_set_string_member(object, "seed", number);
    json_object_set_int_member(object, "hosts", fuzz->options.hosts);
    json_object_set_int_member(object, "guests", fuzz->options.guests);
    json_object_set_int_member(object, "length_ms", fuzz->options.length_ms);
    json_object_set_int_member(object, "invariant", result->invariant);
    json_object_set_string_member(object, "violation",
                                  result->violation != NULL ? result->violation : "");
    for (guint i = 0; i < faults->len; i++) {
        const FaultPlan *plan = &g_array_index(faults, FaultPlan, i);
        JsonObject *entry = json_object_new();
        json_object_set_string_member(entry, "kind", fast_fault_name(plan->kind));
        json_object_set_int_member(entry, "at_ms", plan->at_ms);
        json_object_set_int_member(entry, "lasts_ms", plan->lasts_ms);
        json_object_set_int_member(entry, "host", plan->host);
        json_object_set_int_member(entry, "what", plan->what);
        json_array_add_object_element(list, entry);
    }
    json_object_set_array_member(object, "faults", list);
    return q_json_object_text(object, Q_JSON_PRETTY);
}

static GArray *
read_faults(JsonObject *object)
{
    JsonArray *list = q_json_array(object, "faults");
    GArray *faults = g_array_new(FALSE, FALSE, sizeof(FaultPlan));

    for (guint i = 0; list != NULL && i < json_array_get_length(list); i++) {
        JsonObject *entry = json_array_get_object_element(list, i);
        guint kind = 0;
        while (kind < FAULT_END
               && g_strcmp0(fast_fault_name(kind), q_json_string(entry, "kind", "")) != 0)
            kind++;
        FaultPlan plan = { (FastFault)kind, q_json_int(entry, "at_ms", 0),
                           q_json_int(entry, "lasts_ms", 0), (guint)q_json_int(entry, "host", 0),
                           (guint)q_json_int(entry, "what", 0) };
        if (kind < FAULT_END)
            g_array_append_val(faults, plan);
    }
    return faults;
}

static int
run_story(Fuzz *fuzz)
{
    g_autofree char *text = NULL;
    gsize length;
    g_autoptr(GError) error = NULL;
    FastResult result;

    if (!g_file_get_contents(fuzz->story, &text, &length, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 255;
    }
    g_autoptr(JsonObject) object = q_json_parse_object(text, (gssize)length, &error);
    if (object == NULL) {
        fprintf(stderr, "%s: %s\n", fuzz->story, error->message);
        return 255;
    }
    g_autoptr(GArray) faults = read_faults(object);
    FastOptions options = fuzz->options;
    options.hosts = (guint)q_json_int(object, "hosts", 0);
    options.guests = (guint)q_json_int(object, "guests", options.guests);
    options.length_ms = q_json_int(object, "length_ms", options.length_ms);
    options.profile = q_json_string(object, "profile", "fast");
    fast_run(g_ascii_strtoull(q_json_string(object, "seed", "0"), NULL, 10), &options, faults,
             &result);
    bool bad = result.invariant != 0;
    printf("%s %s\n", bad ? "not ok" : "ok", q_json_string(object, "name", fuzz->story));
    if (bad)
        printf("at %" G_GINT64_FORMAT " ms, invariant %d: %s\n", result.at_ms, result.invariant,
               result.violation);
    printf("%d passed, %d failed\n", !bad, bad);
    fast_result_clear(&result);
    return bad;
}

/* ------------------------------------------------------------------ many histories */

static void
tell_violation(Fuzz *fuzz, uint64_t seed, const GArray *faults, const FastResult *result)
{
    g_autoptr(GArray) fewest = fast_shrink(seed, &fuzz->options, faults, result->invariant);
    g_autofree char *text = story_text(fuzz, seed, fewest, result);
    g_autofree char *path =
        fuzz->out != NULL ? g_strdup(fuzz->out)
                          : g_strdup_printf("/tmp/quorate-seed-%" G_GUINT64_FORMAT ".json", seed);
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents(path, text, -1, &error))
        fprintf(stderr, "%s\n", error->message);
    printf("seed %" G_GUINT64_FORMAT " at %" G_GINT64_FORMAT " ms: invariant %d: %s\n"
           "%u of %u faults needed; repeat with: quorate-sim fuzz --story %s\n",
           seed, result->at_ms, result->invariant, result->violation, fewest->len, faults->len,
           path);
}

static void
run_seed(Fuzz *fuzz, uint64_t seed)
{
    g_autoptr(GArray) faults = fast_plan(seed, &fuzz->options);
    FastResult result;

    fast_run(seed, &fuzz->options, faults, &result);
    for (int kind = 0; kind < FAULT_END; kind++)
        fuzz->counts[kind] += result.counts[kind];
    g_array_append_vals(fuzz->failovers, result.failovers->data, result.failovers->len);
    if (result.invariant != 0) {
        if (fuzz->violations++ == 0) {
            fuzz->bad_seed = seed;
            fuzz->bad_invariant = result.invariant;
        }
        if (fuzz->violations == 1)
            tell_violation(fuzz, seed, faults, &result);
        else
            printf("seed %" G_GUINT64_FORMAT ": invariant %d: %s\n", seed, result.invariant,
                   result.violation);
    }
    fast_result_clear(&result);
}

static void
print_totals(const Fuzz *fuzz, int64_t sim_s)
{
    printf("%" G_GUINT64_FORMAT " histories, %" G_GUINT64_FORMAT " violations, %" G_GINT64_FORMAT
           " simulated s\n",
           fuzz->seeds, fuzz->violations, sim_s);
    printf("{\"histories\":%" G_GUINT64_FORMAT ",\"violations\":%" G_GUINT64_FORMAT
           ",\"sim_s\":%" G_GINT64_FORMAT ",\"faults\":{",
           fuzz->seeds, fuzz->violations, sim_s);
    for (int kind = 0; kind < FAULT_END; kind++)
        printf("%s\"%s\":%u", kind > 0 ? "," : "", fast_fault_name(kind), fuzz->counts[kind]);
    if (fuzz->violations > 0)
        printf("},\"first_violation\":{\"seed\":%" G_GUINT64_FORMAT ",\"invariant\":%d}}\n",
               fuzz->bad_seed, fuzz->bad_invariant);
    else
        printf("},\"first_violation\":null}\n");
}

static gint
compare_ms(gconstpointer a, gconstpointer b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void
print_failovers(const Fuzz *fuzz)
{
    GArray *times = fuzz->failovers;

    if (times->len == 0)
        return;
    g_array_sort(times, compare_ms);
    printf("%u failovers with nothing else going on: median %" G_GINT64_FORMAT
           " ms, longest %" G_GINT64_FORMAT " ms\n",
           times->len, g_array_index(times, int64_t, times->len / 2),
           g_array_index(times, int64_t, times->len - 1));
}

int
fast_main(int argc, char **argv)
{
    Fuzz fuzz = { .options = { .guests = 5, .length_ms = 180000, .profile = "fast" },
                  .first = 1,
                  .seeds = 100 };
    int64_t began_ms = wall_ms();

    if (!parse_arguments(argc, argv, &fuzz)) {
        fprintf(stderr, "usage: quorate-sim fuzz [--seeds N] [--first S] [--nodes N] [--guests N] "
                        "[--hours H] [--faults LIST] [--profile fast|steady] [--trace FILE] "
                        "[--out FILE] [--story FILE]\n");
        return 255;
    }
    if (fuzz.story != NULL)
        return run_story(&fuzz);
    fuzz.failovers = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (uint64_t seed = fuzz.first; seed < fuzz.first + fuzz.seeds; seed++)
        run_seed(&fuzz, seed);
    int64_t sim_s = (int64_t)fuzz.seeds * fuzz.options.length_ms / 1000;
    for (int kind = 0; kind < FAULT_END; kind++)
        printf("%s %u\n", fast_fault_name(kind), fuzz.counts[kind]);
    print_failovers(&fuzz);
    print_totals(&fuzz, sim_s);
    int64_t took_ms = MAX(wall_ms() - began_ms, 1);
    fprintf(stderr, "%" G_GINT64_FORMAT " simulated s/s, %.1f histories/s\n",
            sim_s * 1000 / took_ms, (double)fuzz.seeds * 1000 / (double)took_ms);
    g_array_unref(fuzz.failovers);
    if (fuzz.options.trace != NULL)
        fclose(fuzz.options.trace);
    return fuzz.violations > 0;
}
