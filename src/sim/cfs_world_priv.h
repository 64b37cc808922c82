#pragma once
#include "sim/cfs_world.h"

/* Between the files of the simulated world. */

/* cfs_network.c */
void sim_send(SimNode *node, GBytes *message, bool bulk);
void sim_group_join(SimNode *node);
void sim_group_leave(SimNode *node);
void sim_group_rejoin(SimNode *node);
void sim_flag_soon(SimNode *node);
void sim_ring_leave(SimNode *node);
void sim_ring_thawed(SimNode *node);
void sim_inbox_drain(SimNode *node);
void sim_inbox_clear(SimNode *node);
void sim_on_frame(SimWorld *world, gpointer frame, uint64_t to);

/* cfs_disk.c */
void sim_disk_init(SimDisk *disk);
void sim_disk_clear(SimDisk *disk);
void sim_disk_write(SimNode *node, uint64_t token, StoreWrite *write);
void sim_disk_crash(SimNode *node);
void sim_disk_copy(SimDisk *to, const SimDisk *from);

/* cfs_world.c */
void sim_process_end(SimNode *node);
