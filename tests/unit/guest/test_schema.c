#include "guest/core/schema.h"
#include <string.h>

static void
test_names(void)
{
    static const struct {
        const char *name, *key; /* NULL: no key */
        int index;
    } cases[] = {
        { "cores", "cores", 0 },
        { "scsi0", "scsi", 0 },
        { "scsi30", "scsi", 30 },
        { "scsi31", NULL, 0 },
        { "scsi", NULL, 0 },
        { "scsi01", NULL, 0 },
        { "net31", "net", 31 },
        { "net32", NULL, 0 },
        { "smbios1", "smbios1", 0 },
        { "smbios2", NULL, 0 },
        { "numa", "numa", 0 },
        { "numa7", "numa", 7 },
        { "virtio15", "virtio", 15 },
        { "virtio16", NULL, 0 },
        { "virtiofs9", "virtiofs", 9 },
        { "", NULL, 0 },
        { "ide99999999999999999999", NULL, 0 },
        { "efidisk0", "efidisk", 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int index = -1;
        const GuestKey *key = guest_key_find(cases[i].name, &index);
        g_test_message("'%s'", cases[i].name);
        g_assert_cmpstr(key != NULL ? key->name : NULL, ==, cases[i].key);
        g_assert_true(key == NULL || index == cases[i].index);
    }
}

static void
test_values(void)
{
    static const struct {
        const char *key, *value, *kept; /* NULL: refused */
    } cases[] = {
        { "cores", "4", "4" },
        { "cores", "0", NULL },
        { "cores", "-1", NULL },
        { "cores", "4.5", NULL },
        { "cores", "0x4", NULL },
        { "onboot", "TRUE", "1" },
        { "onboot", "2", NULL },
        { "name", "web.example-1.org", "web.example-1.org" },
        { "name", "-web", NULL },
        { "name", "we b", NULL },
        { "name", "web_1", NULL },
        { "memory", "2048", "2048" },
        { "memory", "15", NULL },
        { "memory", "lots", NULL },
        { "bios", "seabios", "seabios" },
        { "bios", "uefi", NULL },
        { "net0", "virtio", "virtio" },
        { "net0", "virtio=01:00:00:00:00:01", NULL },
        { "net0", "virtio=02:00:00:00:00:01,tag=4095", NULL },
        { "scsi0", "st:v,mbps=5,mbps_rd=1", NULL },
        { "scsi0", "st:v,mbps_max=5", NULL },
        { "scsi0", "st:v,mbps=1,mbps_max=5,bps_max_length=2",
          "st:v,mbps=1,mbps_max=5,bps_max_length=2" },
        { "virtio0", "st:iso/a.iso,media=cdrom", NULL },
        { "ide0", "st:iso/a.iso,media=cdrom,format=raw", NULL },
        { "boot", "order=efidisk0", NULL },
        { "boot", "cdn", "cdn" },
        { "boot", "xyz", NULL },
        { "boot", "", "" },
        { "serial0", "socket", "socket" },
        { "serial0", "file:/etc/passwd", NULL },
        { "tags", "a;b,c", "a;b,c" },
        { "tags", "-a", NULL },
        { "vmgenid", "1", "1" },
        { "vmgenid", "x", NULL },
        { "cpulimit", "1.5", "1.5" },
        { "cpulimit", "129", NULL },
        { "cpulimit", "nan", NULL },
        { "agent", "1,freeze-fs=0", "1,freeze-fs=0" },
        { "agent", "1,type=usb", NULL },
        { "lock", "backup", "backup" },
        { "lock", "mine", NULL },
        { "smbios1", "uuid=123", NULL },
        { "startdate", "2020-01-02", "2020-01-02" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *kept = guest_key_check(guest_key_find(cases[i].key, NULL), cases[i].value,
                                                Q_PROPERTY_STRICT, &error);
        g_test_message("%s: '%s'", cases[i].key, cases[i].value);
        g_assert_cmpstr(kept, ==, cases[i].kept);
        g_assert_true((error != NULL) == (kept == NULL));
    }
}

/* Every row can be found under its own name, and its default passes its own check. */
static void
test_rows(void)
{
    for (const GuestKey *key = guest_keys; key->name != NULL; key++) {
        g_autofree char *name = key->count > 0 ? g_strdup_printf("%s%d", key->name, key->count - 1)
                                               : g_strdup(key->name);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", name);
        g_assert_true(guest_key_find(name, NULL) == key);
        g_assert_nonnull(key->doc);
        g_assert_true((key->type == GUEST_PROPERTIES) == (key->properties != NULL));
        if (key->standard != NULL) {
            g_autofree char *kept = guest_key_check(key, key->standard, Q_PROPERTY_STRICT, &error);
            g_assert_no_error(error);
            g_assert_nonnull(kept);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/schema/names", test_names);
    g_test_add_func("/guest/schema/values", test_values);
    g_test_add_func("/guest/schema/rows", test_rows);
    return g_test_run();
}
