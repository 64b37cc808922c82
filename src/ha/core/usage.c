#include "ha/core/usage.h"
#include <math.h>
#include <string.h>
#include "base/sorted.h"

typedef struct {
    int nodes[2]; /* index of current and target; -1: none */
    bool running;
    const HaConfig *config; /* or NULL */
} Load;

typedef struct {
    const HaNode *node;
    GHashTable *loads; /* sid -> Load: borrowed from services */
    bool summed;       /* cpu and mem are up to date */
    double cpu, mem;
    double max_cpu, max_mem;
} Node;

struct HaUsage {
    HaUsageMode mode;
    guint count;
    Node *nodes;
    GHashTable *index;    /* name -> index + 1 */
    GHashTable *services; /* sid -> Load */
};

typedef struct {
    double cpu, mem, max_cpu, max_mem;
} Figures;

HaUsage *
ha_usage_new(HaUsageMode mode, GPtrArray *nodes)
{
    HaUsage *usage = g_new0(HaUsage, 1);

    usage->mode = mode;
    usage->count = nodes->len;
    usage->nodes = g_new0(Node, MAX(nodes->len, 1));
    usage->index = g_hash_table_new(g_str_hash, g_str_equal);
    usage->services = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < nodes->len; i++) {
        Node *node = &usage->nodes[i];
        node->node = nodes->pdata[i];
        node->loads = g_hash_table_new(g_str_hash, g_str_equal);
        node->max_cpu = node->node->has_capacity ? node->node->max_cpu : 24;
        node->max_mem = node->node->has_capacity ? node->node->max_mem : 128.0 * (1 << 30);
        g_hash_table_insert(usage->index, node->node->name, GUINT_TO_POINTER(i + 1));
    }
    return usage;
}

void
ha_usage_free(HaUsage *usage)
{
    if (usage == NULL)
        return;
    for (guint i = 0; i < usage->count; i++)
        g_hash_table_unref(usage->nodes[i].loads);
    g_free(usage->nodes);
    g_hash_table_unref(usage->index);
    g_hash_table_unref(usage->services);
    g_free(usage);
}

guint
ha_usage_nodes(const HaUsage *usage)
{
    return usage->count;
}

const char *
ha_usage_node_name(const HaUsage *usage, guint index)
{
    return usage->nodes[index].node->name;
}

int
ha_usage_find(const HaUsage *usage, const char *node)
{
    if (node == NULL)
        return -1;
    return (int)GPOINTER_TO_UINT(g_hash_table_lookup(usage->index, node)) - 1;
}

bool
ha_usage_has(const HaUsage *usage, const char *sid)
{
    return g_hash_table_contains(usage->services, sid);
}

static void
detach(HaUsage *usage, const char *sid, const Load *load)
{
    for (int i = 0; i < 2; i++) {
        if (load->nodes[i] >= 0) {
            g_hash_table_remove(usage->nodes[load->nodes[i]].loads, sid);
            usage->nodes[load->nodes[i]].summed = false;
        }
    }
}

void
ha_usage_set(HaUsage *usage, const char *sid, const char *current, const char *target, bool running,
             const HaConfig *config)
{
    Load *load = g_hash_table_lookup(usage->services, sid);
    int nodes[2] = { ha_usage_find(usage, current), ha_usage_find(usage, target) };

    if (load != NULL)
        detach(usage, sid, load);
    if (nodes[0] < 0 && nodes[1] < 0) {
        g_hash_table_remove(usage->services, sid);
        return;
    }
    if (load == NULL) {
        load = g_new0(Load, 1);
        g_hash_table_insert(usage->services, g_strdup(sid), load);
    }
    memcpy(load->nodes, nodes, sizeof nodes);
    load->running = running;
    load->config = config;
    for (int i = 0; i < 2; i++) {
        if (nodes[i] >= 0) {
            /* The key must live as long as the entry: it is that of services. */
            gpointer key;
            g_hash_table_lookup_extended(usage->services, sid, &key, NULL);
            g_hash_table_insert(usage->nodes[nodes[i]].loads, key, load);
            usage->nodes[nodes[i]].summed = false;
        }
    }
}

static double
cpu_of(const HaConfig *config, const Node *node)
{
    return config->max_cpu > 0 ? config->max_cpu : node->max_cpu;
}

/* Added up anew in the order of names when something changed: the same sum whatever the history. */
static void
sum_up(HaUsage *usage, Node *node)
{
    if (node->summed)
        return;
    g_autoptr(GPtrArray) sids = q_sorted_keys(node->loads);
    node->cpu = usage->mode == HA_USAGE_DYNAMIC ? node->node->cpu : 0;
    node->mem = usage->mode == HA_USAGE_DYNAMIC ? node->node->mem : 0;
    for (guint i = 0; i < sids->len; i++) {
        const Load *load = g_hash_table_lookup(node->loads, sids->pdata[i]);
        if (load->config == NULL || !load->config->has_static
            || (usage->mode == HA_USAGE_DYNAMIC && load->running))
            continue;
        node->cpu += cpu_of(load->config, node);
        node->mem += load->config->max_mem;
    }
    node->summed = true;
}

/* Figures of all nodes; @measured: without what is about to start. */
static Figures *
all_figures(HaUsage *usage, bool measured)
{
    Figures *figures = g_new(Figures, MAX(usage->count, 1));

    for (guint i = 0; i < usage->count; i++) {
        Node *node = &usage->nodes[i];
        sum_up(usage, node);
        figures[i] = (Figures){ node->cpu, node->mem, node->max_cpu, node->max_mem };
        if (measured && usage->mode == HA_USAGE_DYNAMIC) {
            figures[i].cpu = node->node->cpu;
            figures[i].mem = node->node->mem;
        }
    }
    return figures;
}

/* ------------------------------------------------------------------ TOPSIS */

enum { CRITERIA = 4 };
static const double weights[CRITERIA] = { 1.0 / 18, 2.0 / 18, 5.0 / 18, 10.0 / 18 };

/* Average and highest load of processors and memory, the average by its root of squares. */
static void
fill_row(const Figures *figures, guint count, double row[CRITERIA])
{
    double cpu_squares = 0, cpu_highest = 0, mem_squares = 0, mem_highest = 0;

    for (guint i = 0; i < count; i++) {
        double cpu = figures[i].cpu / figures[i].max_cpu;
        double mem = figures[i].mem / figures[i].max_mem;
        cpu_squares += cpu * cpu;
        mem_squares += mem * mem;
        cpu_highest = MAX(cpu_highest, cpu);
        mem_highest = MAX(mem_highest, mem);
    }
    row[0] = 1 + sqrt(cpu_squares / count);
    row[1] = 1 + cpu_highest;
    row[2] = 1 + sqrt(mem_squares / count);
    row[3] = 1 + mem_highest;
}

/* Scores of the rows: 1 is best, 0 worst. */
static void
topsis(double (*rows)[CRITERIA], guint count, double *scores)
{
    double best[CRITERIA], worst[CRITERIA];

    for (int j = 0; j < CRITERIA; j++) {
        double squares = 0;
        for (guint i = 0; i < count; i++)
            squares += rows[i][j] * rows[i][j];
        double norm = sqrt(squares);
        for (guint i = 0; i < count; i++) {
            if (norm != 0)
                rows[i][j] /= norm;
            best[j] = i == 0 ? rows[i][j] : MIN(best[j], rows[i][j]);
            worst[j] = i == 0 ? rows[i][j] : MAX(worst[j], rows[i][j]);
        }
    }
    for (guint i = 0; i < count; i++) {
        double to_best = 0, to_worst = 0;
        for (int j = 0; j < CRITERIA; j++) {
            double b = weights[j] * (rows[i][j] - best[j]),
                   w = weights[j] * (rows[i][j] - worst[j]);
            to_best += b * b;
            to_worst += w * w;
        }
        to_best = sqrt(to_best);
        to_worst = sqrt(to_worst);
        scores[i] = to_best + to_worst == 0 ? 0 : to_worst / (to_best + to_worst);
    }
}

void
ha_usage_score(HaUsage *usage, const HaConfig *config, double *scores)
{
    if (usage->mode == HA_USAGE_BASIC || config == NULL || !config->has_static) {
        for (guint i = 0; i < usage->count; i++)
            scores[i] = g_hash_table_size(usage->nodes[i].loads);
        return;
    }
    g_autofree Figures *figures = all_figures(usage, false);
    g_autofree double(*rows)[CRITERIA] = g_malloc_n(MAX(usage->count, 1), sizeof *rows);
    for (guint i = 0; i < usage->count; i++) {
        Figures before = figures[i];
        figures[i].cpu += cpu_of(config, &usage->nodes[i]);
        figures[i].mem += config->max_mem;
        fill_row(figures, usage->count, rows[i]);
        figures[i] = before;
    }
    topsis(rows, usage->count, scores);
    for (guint i = 0; i < usage->count; i++)
        scores[i] = -scores[i];
}

/* ------------------------------------------------------------------ imbalance */

static double
imbalance(const Figures *figures, guint count)
{
    g_autofree double *loads = g_new(double, MAX(count, 1));
    double sum = 0, squares = 0;

    for (guint i = 0; i < count; i++) {
        loads[i] = (figures[i].cpu / figures[i].max_cpu + figures[i].mem / figures[i].max_mem) / 2;
        sum += loads[i];
    }
    if (count == 0 || sum == 0)
        return 0;
    double mean = sum / count;
    for (guint i = 0; i < count; i++)
        squares += (loads[i] - mean) * (loads[i] - mean);
    return sqrt(squares / count) / mean;
}

double
ha_usage_imbalance(HaUsage *usage)
{
    if (usage->mode == HA_USAGE_BASIC)
        return 0;
    g_autofree Figures *figures = all_figures(usage, true);
    return imbalance(figures, usage->count);
}

static void
apply_move(Figures *figures, const HaUsageMove *move)
{
    figures[move->from].cpu = MAX(figures[move->from].cpu - move->cpu, 0);
    figures[move->from].mem = MAX(figures[move->from].mem - move->mem, 0);
    figures[move->to].cpu += move->cpu;
    figures[move->to].mem += move->mem;
}

double
ha_usage_imbalance_after(HaUsage *usage, const HaUsageMove *move)
{
    g_autofree Figures *figures = all_figures(usage, true);

    apply_move(figures, move);
    return imbalance(figures, usage->count);
}

guint
ha_usage_rank(HaUsage *usage, const HaUsageMove *moves, guint count)
{
    g_autofree double(*rows)[CRITERIA] = g_malloc_n(MAX(count, 1), sizeof *rows);
    g_autofree double *scores = g_new(double, MAX(count, 1));
    g_autofree Figures *figures = all_figures(usage, true);
    g_autofree Figures *after = g_new(Figures, MAX(usage->count, 1));
    guint best = 0;

    for (guint i = 0; i < count; i++) {
        memcpy(after, figures, usage->count * sizeof *figures);
        apply_move(after, &moves[i]);
        fill_row(after, usage->count, rows[i]);
    }
    topsis(rows, count, scores);
    for (guint i = 1; i < count; i++) {
        if (scores[i] > scores[best])
            best = i;
    }
    return best;
}
