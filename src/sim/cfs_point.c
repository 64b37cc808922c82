#include "sim/cfs_point.h"
#include "base/wire.h"

/* Row "tip" of our table, as docs/internals/cfs-protocol.md describes it. */
bool
sim_point_of(const SimDisk *disk, SimPoint *point)
{
    GBytes *tip = g_hash_table_lookup(disk->rows, "tip");
    QReader reader;

    *point = (SimPoint){ 0 };
    if (tip == NULL) {
        return false;
    }
    q_reader_init_bytes(&reader, tip);
    point->database = q_get_u64(&reader);
    point->promised = (Epoch){ .number = q_get_var(&reader) };
    point->promised.plan = q_get_u64(&reader);
    point->installed = (Epoch){ .number = q_get_var(&reader) };
    point->installed.plan = q_get_u64(&reader);
    point->sequence = q_get_u64(&reader);
    point->history.a = q_get_u64(&reader);
    point->history.b = q_get_u64(&reader);
    return q_reader_done(&reader);
}
