#include "storage/core/volume_id.h"

static void
test_refused(void)
{
    static const char *const cases[] = { "",         ":",         "tank",     "tank:",
                                         ":disk",    "9tank:x",   "tank/x:y", "t:x",
                                         "tank:a,b", "tank:a\nb", "tank-:x" };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(VolumeId) id = volume_id_parse(cases[i], &error);
        g_assert_null(id);
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    }
}

static void
test_parts(void)
{
    g_autoptr(VolumeId) id = volume_id_parse("nas:iso/a:b.iso", NULL);

    g_assert_cmpstr(volume_id_storage(id), ==, "nas");
    g_assert_cmpstr(volume_id_name(id), ==, "iso/a:b.iso");
}

static void
test_names(void)
{
    static const struct {
        const char *name, *content, *format, *relative; /* content NULL: refused */
        uint32_t vmid;
    } cases[] = {
        { "100/vm-100-disk-0.qcow2", "images", "qcow2", "images/100/vm-100-disk-0.qcow2", 100 },
        { "100/base-100-disk-0.raw/101/vm-101-disk-0.qcow2", "images", "qcow2",
          "images/101/vm-101-disk-0.qcow2", 101 },
        { "100/any-name.raw", "images", "raw", "images/100/any-name.raw", 100 },
        { "iso/debian 12.ISO", "iso", "iso", "template/iso/debian 12.ISO", 0 },
        { "vztmpl/x.tar.zst", "vztmpl", "tar.zst", "template/cache/x.tar.zst", 0 },
        { "backup/vzdump-qemu-100-2026_02_27-21_07_30.vma.zst", "backup", "vma.zst",
          "dump/vzdump-qemu-100-2026_02_27-21_07_30.vma.zst", 100 },
        { "snippets/user.yaml", "snippets", "snippets", "snippets/user.yaml", 0 },
        { "import/x.ova", "import", "ova", "import/x.ova", 0 },
        { "100/vm-100-disk-0", NULL },
        { "99/vm-99-disk-0.raw", NULL },
        { "0100/vm-100-disk-0.raw", NULL },
        { "100/../../../etc/x.raw", NULL },
        { "iso/../x.iso", NULL },
        { "iso/a/b.iso", NULL },
        { "iso/x.exe", NULL },
        { "100/..raw/x.raw", NULL },
        { "../100/x.raw", NULL },
        { "100/snap-a-vm.qcow2", NULL },
        { "100/a b.raw", NULL },
        { "100/vm.raw\n", NULL },
        { "/etc/passwd", NULL },
        { "", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(FileVolume) volume = { 0 };
        bool known = file_volume_parse(cases[i].name, &volume, NULL);
        g_test_message("'%s'", cases[i].name);
        g_assert_true(known == (cases[i].content != NULL));
        g_assert_cmpstr(volume.content, ==, cases[i].content);
        g_assert_cmpstr(volume.format, ==, cases[i].format);
        g_assert_cmpstr(volume.relative, ==, cases[i].relative);
        g_assert_cmpuint(volume.vmid, ==, cases[i].vmid);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/volume-id/refused", test_refused);
    g_test_add_func("/storage/volume-id/parts", test_parts);
    g_test_add_func("/storage/volume-id/names", test_names);
    return g_test_run();
}
