#include "guest/core/machine.h"
#include <string.h>

static void
test_chosen(void)
{
    static const struct {
        const char *config, *type; /* NULL: refused */
        int revision;
    } cases[] = {
        { "", "pc-i440fx-7.2", 0 },
        { "machine: q35\n", "pc-q35-7.2", 0 },
        { "machine: pc-i440fx-6.1\n", "pc-i440fx-6.1", 0 },
        { "machine: pc-q35-6.2+pve1\n", "pc-q35-6.2", 1 },
        { "machine: type=pc-q35-7.1,viommu=intel\n", "pc-q35-7.1", 0 },
        { "machine: pc-i440fx-7.3\n", NULL, 0 },
        { "machine: pc-i440fx-8.0\n", NULL, 0 },
        { "machine: virt\n", NULL, 0 },
        { "ostype: win10\n", "pc-i440fx-5.1", 0 },
        { "ostype: l26\n", "pc-i440fx-7.2", 0 },
        { "ostype: win11\nmeta: creation-qemu=9.2.0,ctime=1\n", NULL,
          0 }, /* newer than this node */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GuestConfig) config = guest_config_parse(cases[i].config);
        g_autoptr(GError) error = NULL;
        GuestMachine machine = { 0 };
        bool chosen =
            guest_machine_choose(guest_config_main(config), 7, 2, "node1", &machine, &error);

        g_test_message("%s", cases[i].config);
        g_assert_true(chosen == (cases[i].type != NULL));
        g_assert_cmpstr(machine.type, ==, cases[i].type);
        g_assert_cmpint(machine.revision, ==, cases[i].revision);
        guest_machine_clear(&machine);
    }
}

static void
test_since(void)
{
    GuestMachine machine = { .major = 7, .minor = 1 };

    g_assert_true(guest_machine_since(&machine, 7, 1, 0));
    g_assert_true(guest_machine_since(&machine, 6, 9, 9));
    g_assert_false(guest_machine_since(&machine, 7, 2, 0));
    g_assert_false(guest_machine_since(&machine, 7, 1, 1));
    g_assert_false(guest_machine_since(&machine, 10, 0, 0));
}

/* No two devices in one place, on either board, whatever a guest has. */
static void
test_no_collision(void)
{
    static const struct {
        const char *family;
        int first, last;
    } devices[] = { { "balloon", 0, 0 },     { "scsihw", 0, 4 },  { "ahci", 0, 0 },
                    { "qga", 0, 0 },         { "virtio", 0, 15 }, { "net", 0, 31 },
                    { "virtioscsi", 0, 30 }, { "rng", 0, 0 },     { "vga", -1, -1 },
                    { "watchdog", -1, -1 },  { "xhci", -1, -1 },  { "pci.1", -1, -1 },
                    { "pci.2", -1, -1 },     { "pci.4", -1, -1 } };

    for (int q35 = 0; q35 < 2; q35++) {
        GuestMachine machine = { .q35 = q35 };
        g_autoptr(GHashTable) taken =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
            for (int n = devices[i].first; n <= devices[i].last; n++) {
                g_autofree char *name = n < 0 ? g_strdup(devices[i].family)
                                              : g_strdup_printf("%s%d", devices[i].family, n);
                char *place = guest_pci_address(name, &machine);
                const char *other = g_hash_table_lookup(taken, place);

                g_test_message("%s at %s, where %s is", name, place,
                               other != NULL ? other : "nobody");
                g_assert_null(other);
                g_hash_table_insert(taken, place, g_strdup(name));
            }
        }
    }
}

/* Measured names in guests: they must never move. */
static void
test_known_places(void)
{
    static const struct {
        const char *name, *pc, *q35;
    } cases[] = {
        { "net0", "bus=pci.0,addr=0x12", "bus=pci.0,addr=0x12" },
        { "net7", "bus=pci.1,addr=0x2", "bus=pci.1,addr=0x2" },
        { "virtio7", "bus=pci.2,addr=0x2", "bus=pci.2,addr=0x2" },
        { "virtioscsi5", "bus=pci.3,addr=0x6", "bus=pci.3,addr=0x6" },
        { "vga", "bus=pci.0,addr=0x2", "bus=pcie.0,addr=0x1" },
        { "scsihw1", "bus=pci.0,addr=0x6", "bus=pci.0,addr=0x6" },
        { "scsihw3", "bus=pci.4,addr=0x2", "bus=pci.4,addr=0x2" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GuestMachine pc = { 0 }, q35 = { .q35 = true };
        g_autofree char *on_pc = guest_pci_address(cases[i].name, &pc);
        g_autofree char *on_q35 = guest_pci_address(cases[i].name, &q35);

        g_assert_cmpstr(on_pc, ==, cases[i].pc);
        g_assert_cmpstr(on_q35, ==, cases[i].q35);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/machine/chosen", test_chosen);
    g_test_add_func("/guest/machine/since", test_since);
    g_test_add_func("/guest/machine/no-collision", test_no_collision);
    g_test_add_func("/guest/machine/known-places", test_known_places);
    return g_test_run();
}
