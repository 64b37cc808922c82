#include "storage/core/storage_cfg.h"
#include <string.h>

static const char file[] =
    "dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n\n"
    "# ours\nfrob: strange\n\twhat ever\n\n"
    "dir: shared\n\tpath /mnt/shared\n\tshared 1\n\tnodes node1,node2\n\tunknown x\n\n";

static void
test_kept(void)
{
    g_autoptr(StorageConfig) config = storage_config_parse(file);
    g_autofree char *text = storage_config_text(config);

    g_assert_cmpstr(text, ==, file);
    g_assert_cmpuint(storage_config_warnings(config)->len, ==, 2); /* a type and a key */
}

static void
test_read(void)
{
    g_autoptr(StorageConfig) config = storage_config_parse(file);
    const QSection *shared = storage_config_find(config, "shared", NULL);
    g_autoptr(GPtrArray) ids = storage_config_ids(config);
    g_auto(GStrv) content = storage_section_content(shared);
    g_autofree char *format = storage_section_format(shared),
                    *iso = storage_section_folder(shared, "iso");
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(ids->len, ==, 3);
    g_assert_true(storage_section_is_shared(shared));
    g_assert_true(storage_section_is_on(shared, "node1"));
    g_assert_false(storage_section_is_on(shared, "node3"));
    g_assert_cmpstr(content[0], ==, "images");
    g_assert_cmpstr(format, ==, "raw");
    g_assert_cmpstr(iso, ==, "/mnt/shared/template/iso");
    g_assert_null(storage_config_find(config, "nope", &error));
    g_assert_cmpstr(error->message, ==, "storage 'nope' does not exist");
}

static void
test_local(void)
{
    g_autoptr(StorageConfig) none = storage_config_parse(NULL);
    g_autoptr(StorageConfig) other = storage_config_parse("dir: local\n\tpath /elsewhere\n\n");
    const QSection *found = storage_config_find(other, "local", NULL);

    g_assert_nonnull(storage_config_find(none, "local", NULL));
    g_assert_cmpstr(q_section_get(found, "path", ""), ==, "/var/lib/vz");
    g_autofree char *text = storage_config_text(other);
    g_assert_cmpstr(text, ==,
                    "dir: local\n\tpath /elsewhere\n\n"); /* kept, though it does not count */
}

typedef struct {
    const char *type, *id, *keys; /* "path=/x;shared=1" */
    const char *blame, *result;   /* result NULL: refused */
} AddCase;

static GHashTable *
parse_keys(const char *text)
{
    GHashTable *values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) parts = g_strsplit(text, ";", -1);

    for (int i = 0; parts[i] != NULL; i++) {
        g_auto(GStrv) pair = g_strsplit(parts[i], "=", 2);
        if (pair[0] != NULL) {
            g_hash_table_insert(values, g_strdup(pair[0]), g_strdup(pair[1]));
        }
    }
    return values;
}

static void
test_add(void)
{
    static const AddCase cases[] = {
        { "dir", "nas", "shared=yes;path=/mnt/nas;content=images,iso", NULL,
          "dir: nas\n\tpath /mnt/nas\n\tcontent images,iso\n\tshared 1\n\n" },
        { "dir", "nas", "content=images", "path", NULL },
        { "dir", "nas", "path=relative", "path", NULL },
        { "dir", "nas", "path=/mnt/../etc", "path", NULL },
        { "dir", "nas", "path=/x;content=floppies", "content", NULL },
        { "dir", "nas", "path=/x;vgname=pve", "vgname", NULL },
        { "dir", "n", "path=/x", "storage", NULL },
        { "dir", "nas-", "path=/x", "storage", NULL },
        { "nosuch", "nas", "path=/x", "type", NULL },
        { "dir", "nas", "path=/x;nodes=a b!", "nodes", NULL },
        { "lvm", "vg", "vgname=pve;shared=1", NULL, "lvm: vg\n\tvgname pve\n\tshared 1\n\n" },
        { "nfs", "nas", "server=10.0.0.5;export=/vol", NULL,
          "nfs: nas\n\tpath /mnt/pve/nas\n\texport /vol\n\tserver 10.0.0.5\n\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(StorageConfig) config = storage_config_parse(NULL);
        g_autoptr(GHashTable) values = parse_keys(cases[i].keys);
        g_autofree char *blame = NULL;
        g_autoptr(GError) error = NULL;
        bool done = storage_config_add(config, cases[i].type, cases[i].id, values, &blame, &error);
        g_autofree char *text = storage_config_text(config);

        g_test_message("%s %s %s", cases[i].type, cases[i].id, cases[i].keys);
        g_assert_true(done == (cases[i].result != NULL));
        g_assert_cmpstr(blame, ==, cases[i].blame);
        g_assert_cmpstr(text, ==, cases[i].result != NULL ? cases[i].result : "");
    }
}

static void
test_change(void)
{
    g_autoptr(StorageConfig) config = storage_config_parse(file);
    g_autoptr(GHashTable) other = parse_keys("path=/other"),
                          same = parse_keys("path=/mnt/shared;disable=1");
    char *path[] = { (char *)"path", NULL }, *nodes[] = { (char *)"nodes", NULL };
    g_autoptr(GHashTable) nothing = parse_keys("");

    g_assert_false(storage_config_set(config, "shared", other, NULL, NULL, NULL)); /* fixed */
    g_assert_false(storage_config_set(config, "shared", nothing, path, NULL, NULL));
    g_assert_true(storage_config_set(config, "shared", same, nodes, NULL, NULL));
    const QSection *shared = storage_config_find(config, "shared", NULL);
    g_assert_true(storage_section_is_disabled(shared));
    g_assert_true(storage_section_is_on(shared, "node3"));
    g_assert_cmpstr(q_section_get(shared, "unknown", NULL), ==, "x");
    g_assert_false(storage_config_set(config, "strange", nothing, NULL, NULL, NULL));
    g_assert_false(storage_config_set(config, "nope", nothing, NULL, NULL, NULL));
    g_assert_true(storage_config_remove(config, "shared", NULL));
    g_assert_false(storage_config_remove(config, "shared", NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/cfg/kept", test_kept);
    g_test_add_func("/storage/cfg/read", test_read);
    g_test_add_func("/storage/cfg/local", test_local);
    g_test_add_func("/storage/cfg/add", test_add);
    g_test_add_func("/storage/cfg/change", test_change);
    return g_test_run();
}
