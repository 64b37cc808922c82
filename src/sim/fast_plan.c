#include "base/random.h"
#include "sim/fast_priv.h"
#include <string.h>

/* Which faults a seed draws, and the fewest of them that still break something. */

static const char *const names[FAULT_END] = { "crash",   "freeze",     "partition", "stop",
                                              "kill",    "bad-starts", "bad-stops", "guest",
                                              "request", "by-hand" };

const char *
fast_fault_name(FastFault kind)
{
    return names[kind];
}

static gint
compare_plans(gconstpointer a, gconstpointer b)
{
    const FaultPlan *x = a, *y = b;
    return x->at_ms != y->at_ms ? (x->at_ms < y->at_ms ? -1 : 1) : (int)x->kind - (int)y->kind;
}

static FaultPlan
draw(QRandom *random, const FastOptions *options, guint by_hand)
{
    FaultPlan plan = {
        .kind = (FastFault)q_random_below(random, FAULT_END),
        .at_ms = q_random_between(random, 15000, MAX(options->length_ms - 20000, 15001)),
        .host = (guint)q_random_below(random, 5),
        .lasts_ms = q_random_between(random, 1000, 20000),
    };

    switch (plan.kind) {
    case FAULT_CRASH:
        plan.lasts_ms = q_random_between(random, 3000, 40000);
        break;
    case FAULT_PARTITION:
        plan.lasts_ms = q_random_between(random, 500, 25000);
        plan.what = (guint)q_random_between(random, 1, 15);
        break;
    case FAULT_STOP:
    case FAULT_KILL:
        plan.what = (guint)q_random_below(random, PROCS);
        break;
    case FAULT_GUEST:
    case FAULT_REQUEST:
        plan.what = (guint)q_random_below(random, 15);
        break;
    case FAULT_BY_HAND:
        plan.what = by_hand;
        break;
    default:
        break;
    }
    return plan;
}

GArray *
fast_plan(uint64_t seed, const FastOptions *options)
{
    GArray *plans = g_array_new(FALSE, FALSE, sizeof(FaultPlan));
    QRandom random;

    q_random_seed(&random, seed ^ 0x9e3779b97f4a7c15u);
    /* A quiet history with one fault shows the bounds, a wild one the safety. */
    guint count = (guint)(options->length_ms / 60000 * q_random_between(&random, 1, 5));
    for (guint i = 0; i < MAX(count, 1); i++) {
        FaultPlan plan = draw(&random, options, i);
        if (options->kinds == 0 || (options->kinds >> plan.kind & 1))
            g_array_append_val(plans, plan);
    }
    g_array_sort(plans, compare_plans);
    return plans;
}

static bool
still_fails(uint64_t seed, const FastOptions *options, const GArray *faults, int invariant)
{
    FastResult result;

    fast_run(seed, options, faults, &result);
    bool fails = result.invariant == invariant;
    fast_result_clear(&result);
    return fails;
}

GArray *
fast_shrink(uint64_t seed, const FastOptions *options, const GArray *faults, int invariant)
{
    FastOptions quiet = *options;
    GArray *left = g_array_new(FALSE, FALSE, sizeof(FaultPlan));

    quiet.trace = NULL;
    g_array_append_vals(left, faults->data, faults->len);
    for (bool shrunk = true; shrunk;) {
        shrunk = false;
        for (guint i = left->len; i-- > 0;) {
            FaultPlan plan = g_array_index(left, FaultPlan, i);
            g_array_remove_index(left, i);
            if (still_fails(seed, &quiet, left, invariant))
                shrunk = true;
            else
                g_array_insert_val(left, i, plan);
        }
    }
    return left;
}
