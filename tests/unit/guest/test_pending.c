#include "guest/core/pending.h"
#include <string.h>

#define VMID 100

typedef struct {
    GuestConfig *config;
    GuestChange change;
} World;

static World
world(const char *text, bool running)
{
    return (World){ guest_config_parse(text),
                    { VMID, running, g_ptr_array_new_with_free_func(g_free) } };
}

static void
world_end(World *w, const char *expected, const char *freed)
{
    g_autofree char *text = guest_config_text(w->config);

    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpstr(w->change.freed->len > 0 ? w->change.freed->pdata[0] : NULL, ==, freed);
    guest_config_free(w->config);
    g_ptr_array_unref(w->change.freed);
}

#define DISK "st:100/vm-100-disk-0.raw"

static void
test_running(void)
{
    World w = world("cores: 2\n", true);
    guest_change_set(w.config, "cores", "4", &w.change);
    guest_change_set(w.config, "name", "web", &w.change);
    world_end(&w, "cores: 2\nname: web\n\n[PENDING]\ncores: 4\n", NULL);

    w = world("cores: 2\n\n[PENDING]\ncores: 4\n", true);
    guest_change_set(w.config, "cores", "2",
                     &w.change); /* the present value: nothing waits any more */
    world_end(&w, "cores: 2\n", NULL);

    w = world("cores: 2\n\n[PENDING]\ncores: 4\n", true);
    guest_change_revert(w.config, "cores");
    world_end(&w, "cores: 2\n", NULL);

    w = world("cores: 2\n", true);
    guest_change_delete(w.config, "cores", false, &w.change);
    world_end(&w, "cores: 2\n\n[PENDING]\ndelete: cores\n", NULL);

    w = world("cores: 2\n\n[PENDING]\ndelete: cores\n", true);
    guest_change_set(w.config, "cores", "3", &w.change);
    world_end(&w, "cores: 2\n\n[PENDING]\ncores: 3\n", NULL);

    w = world("scsi0: " DISK ",size=4G\n", true); /* jobs read it, QEMU does not */
    guest_change_set(w.config, "scsi0", DISK ",size=4G,backup=0", &w.change);
    world_end(&w, "scsi0: " DISK ",size=4G,backup=0\n", NULL);

    w = world("scsi0: " DISK ",size=4G\n", true);
    guest_change_set(w.config, "scsi0", DISK ",size=4G,iothread=1", &w.change);
    world_end(&w, "scsi0: " DISK ",size=4G\n\n[PENDING]\nscsi0: " DISK ",size=4G,iothread=1\n",
              NULL);
}

static void
test_volumes(void)
{
    World w =
        world("boot: order=scsi0;net0\nnet0: virtio=02:00:00:00:00:01\nscsi0: " DISK "\n", false);
    guest_change_delete(w.config, "scsi0", false, &w.change); /* kept as unused, out of the order */
    world_end(&w, "boot: order=net0\nnet0: virtio=02:00:00:00:00:01\nunused0: " DISK "\n", NULL);

    w = world("scsi0: " DISK "\n", false);
    guest_change_delete(w.config, "scsi0", true, &w.change);
    world_end(&w, "", DISK);

    w = world("unused3: " DISK "\n", false);
    guest_change_delete(w.config, "unused3", false, &w.change);
    world_end(&w, "", DISK);

    w = world("unused0: " DISK "\n\n[snap]\nscsi0: " DISK "\n", false); /* a snapshot needs it */
    guest_change_delete(w.config, "unused0", false, &w.change);
    world_end(&w, "unused0: " DISK "\n\n[snap]\nscsi0: " DISK "\n", NULL);

    w = world("scsi0: " DISK "\nscsi1: " DISK "\n", false); /* named twice: the other keeps it */
    guest_change_delete(w.config, "scsi0", true, &w.change);
    world_end(&w, "scsi1: " DISK "\n", NULL);

    w = world("scsi0: st:200/vm-200-disk-0.raw\n", false); /* another guest's: never ours to free */
    guest_change_delete(w.config, "scsi0", true, &w.change);
    world_end(&w, "", NULL);

    w = world("scsi0: /dev/sdb\n", false);
    guest_change_delete(w.config, "scsi0", true, &w.change);
    world_end(&w, "", NULL);

    w = world("scsi0: " DISK "\n", false);
    guest_change_set(w.config, "scsi0", "st:100/vm-100-disk-1.raw", &w.change);
    world_end(&w, "scsi0: st:100/vm-100-disk-1.raw\nunused0: " DISK "\n", NULL);
}

static void
test_applied(void)
{
    World w = world(
        "cores: 2\nname: x\nscsi0: " DISK "\n\n[PENDING]\ndelete: name,!scsi0\ncores: 4\n", false);
    guest_pending_apply(w.config, &w.change);
    world_end(&w, "cores: 4\n", DISK);
}

static void
test_boot(void)
{
    World w = world("boot: order=scsi0\nbootdisk: scsi0\nscsi0: " DISK "\n", false);
    guest_change_set(w.config, "ide2", "st:iso/a.iso,media=cdrom",
                     &w.change); /* a new CD can be booted */
    world_end(&w, "boot: order=scsi0;ide2\nide2: st:iso/a.iso,media=cdrom\nscsi0: " DISK "\n",
              NULL);

    static const struct {
        const char *text;
        bool right;
    } cases[] = { { "boot: order=net9\n", false },
                  { "boot: order=net0\nnet0: virtio=02:00:00:00:00:01\n", true },
                  { "boot: order=serial0\nserial0: socket\n", false },
                  { "boot: \n", true },
                  { "boot: cdn\n", true } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GuestConfig) config = guest_config_parse(cases[i].text);
        g_test_message("%s", cases[i].text);
        g_assert_true(guest_check_boot(guest_config_main(config), NULL) == cases[i].right);
    }
}

static void
test_rows(void)
{
    g_autoptr(GuestConfig) config =
        guest_config_parse("cores: 2\nname: x\n\n[PENDING]\ncores: 4\ndelete: name\nmemory: 99\n");
    g_autoptr(GPtrArray) rows = guest_pending_rows(config);
    g_autoptr(GuestConfig) effective = guest_config_effective(config);
    const GuestPendingRow *cores = rows->pdata[0], *memory = rows->pdata[1], *name = rows->pdata[2];

    g_assert_cmpuint(rows->len, ==, 3);
    g_assert_cmpstr(cores->value, ==, "2");
    g_assert_cmpstr(cores->pending, ==, "4");
    g_assert_null(memory->value);
    g_assert_cmpint(name->removal, ==, 1);
    g_assert_cmpstr(guest_get(guest_config_main(effective), "cores"), ==, "4");
    g_assert_null(guest_get(guest_config_main(effective), "name"));
}

static void
test_owned(void)
{
    g_assert_true(guest_volume_is_owned("st:100/vm-100-disk-0.qcow2", 100));
    g_assert_true(guest_volume_is_owned("tank:base-1/vm-100-disk-0", 100));
    g_assert_true(guest_volume_is_owned("tank:vm-100-cloudinit", 100));
    g_assert_false(guest_volume_is_owned("st:100/vm-1000-disk-0.qcow2", 100));
    g_assert_false(guest_volume_is_owned("st:iso/vm-100.iso", 100));
    g_assert_false(guest_volume_is_owned("/dev/vm-100-disk", 100));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/pending/running", test_running);
    g_test_add_func("/guest/pending/volumes", test_volumes);
    g_test_add_func("/guest/pending/applied", test_applied);
    g_test_add_func("/guest/pending/boot", test_boot);
    g_test_add_func("/guest/pending/rows", test_rows);
    g_test_add_func("/guest/pending/owned", test_owned);
    return g_test_run();
}
