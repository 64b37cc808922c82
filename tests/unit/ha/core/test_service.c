#include "ha/core/crm_priv.h"

/* The table of moves: no move twice, each with a reason, and from every state a way to `stopped`.
 */
static void
test_table(void)
{
    size_t count;
    const HaServiceMove *moves = ha_service_moves(&count);

    for (size_t i = 0; i < count; i++) {
        g_assert_cmpint(moves[i].from, !=, moves[i].to);
        g_assert_true(moves[i].because != NULL && *moves[i].because != '\0');
        g_assert_true(ha_service_find_move(moves[i].from, moves[i].to) == &moves[i]);
    }
    g_assert_null(ha_service_find_move(HA_STATE_FENCE, HA_STATE_STARTED));
    g_assert_null(ha_service_find_move(HA_STATE_ERROR, HA_STATE_STARTED));
}

static void
test_ways_out(void)
{
    size_t count;
    const HaServiceMove *moves = ha_service_moves(&count);
    bool reaches[HA_STATES] = { [HA_STATE_STOPPED] = true };

    for (bool grown = true; grown;) {
        grown = false;
        for (size_t i = 0; i < count; i++) {
            if (reaches[moves[i].to] && !reaches[moves[i].from])
                grown = reaches[moves[i].from] = true;
        }
    }
    for (int state = HA_STATE_STOPPED; state < HA_STATES; state++) {
        g_test_message("%s", ha_state_name(state));
        g_assert_true(reaches[state]);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/service/table", test_table);
    g_test_add_func("/ha/core/service/ways-out", test_ways_out);
    return g_test_run();
}
