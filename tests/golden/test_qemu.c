/* Guest configuration in, QEMU arguments out: README.md of this folder. */
#include <stdlib.h>
#include <string.h>
#include "guest/core/pending.h"
#include "guest/core/qemu_args.h"
#include "storage/core/volume_id.h"

#define VMID 100

static char *
read_text(const char *path)
{
    g_autofree char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return g_steal_pointer(&text);
}

static int
host_value(const char *text, const char *name, int fallback)
{
    g_autofree char *pattern = g_strdup_printf("(?m)^%s=(\\d+)", name);
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (text == NULL || !g_regex_match(regex, text, 0, &match)) {
        return fallback;
    }
    g_autofree char *digits = g_match_info_fetch(match, 1);
    return strtol(digits, NULL, 10);
}

/* `local` and `shared` are folders; anything absolute is itself. */
static GuestVolume *
resolve(const char *file, bool cached)
{
    g_autoptr(VolumeId) id = file[0] != '/' ? volume_id_parse(file, NULL) : NULL;
    g_auto(FileVolume) volume = { 0 };
    GuestVolume *found = g_new0(GuestVolume, 1);

    if (id == NULL || !file_volume_parse(volume_id_name(id), &volume, NULL)) {
        found->path = g_strdup(file);
        found->format = g_strdup("raw");
        return found;
    }
    found->shared = strcmp(volume_id_storage(id), "shared") == 0;
    found->path =
        g_build_filename(found->shared ? "/mnt/shared" : "/var/lib/vz", volume.relative, NULL);
    found->format = g_strdup(strcmp(volume.content, "images") == 0 ? volume.format : "raw");
    found->cached = cached;
    return found;
}

static GHashTable *
resolve_all(const GuestSection *section, bool cached)
{
    GHashTable *volumes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)guest_volume_free);
    g_autoptr(GPtrArray) drives = guest_drives(section, NULL);

    for (guint i = 0; drives != NULL && i < drives->len; i++) {
        const GuestDrive *drive = drives->pdata[i];

        if (!guest_drive_is_empty(drive)) {
            g_hash_table_insert(volumes, g_strdup(drive->id),
                                resolve(guest_drive_file(drive), cached));
        }
    }
    return volumes;
}

static char *
build(const char *conf, const char *host_text)
{
    g_autoptr(GuestConfig) config = guest_config_parse(conf);
    g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    GuestChange change = { .vmid = VMID, .freed = freed };

    guest_pending_apply(config, &change);
    const GuestSection *section = guest_config_main(config);
    g_autoptr(GHashTable) volumes = resolve_all(section, host_value(host_text, "cached", 0));
    g_autoptr(GHashTable) mtu = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(mtu, (char *)"vmbr0", GINT_TO_POINTER(host_value(host_text, "mtu", 1500)));
    g_autofree char *newest = host_text != NULL ? g_strdup(strstr(host_text, "newest=")) : NULL;
    GuestHost host = {
        .node = "node1",
        .run_dir = "/var/run/qemu-server",
        .cpus = host_value(host_text, "cpus", 8),
        .kvm = host_value(host_text, "kvm", 1),
        .vhost = host_value(host_text, "vhost", 1),
        .io_uring = host_value(host_text, "io_uring", 1),
        .guarded = host_value(host_text, "guarded", 0),
        .newest_major = host_value(host_text, "newest", 7),
        .newest_minor = newest != NULL ? (int)strtol(strchr(newest, '.') + 1, NULL, 10) : 2,
        .volumes = volumes,
        .bridge_mtu = mtu,
    };
    g_autoptr(GuestCommand) command = guest_qemu_command(VMID, section, &host, &error);
    GString *out = g_string_new(NULL);
    if (command == NULL) {
        g_string_append_printf(out, "ERROR: %s\n", error->message);
        return g_string_free(out, FALSE);
    }
    for (guint i = 0; i < command->notes->len; i++) {
        g_string_append_printf(out, "# %s\n", (char *)command->notes->pdata[i]);
    }
    for (guint i = 0; i < command->argv->len; i++) {
        const char *word = command->argv->pdata[i];
        bool begins = word[0] == '-' || i == 0;

        g_string_append_printf(out, "%s%s", i == 0 ? "" : begins ? "\n" : " ", word);
    }
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}

static void
test_case(gconstpointer data)
{
    const char *path = data; /* without extension */
    g_autofree char *conf_path = g_strconcat(path, ".conf", NULL);
    g_autofree char *host_path = g_strconcat(path, ".host", NULL);
    g_autofree char *args_path = g_strconcat(path, ".args", NULL);
    g_autofree char *conf = read_text(conf_path);
    g_autofree char *host = read_text(host_path);
    g_autofree char *recorded = read_text(args_path);
    g_autofree char *found = build(conf, host);

    if (getenv("QUORATE_GOLDEN_WRITE") != NULL) {
        g_assert_true(g_file_set_contents(args_path, found, -1, NULL));
        return;
    }
    g_assert_cmpstr(found, ==, recorded);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc != 2) {
        g_printerr("usage: test-golden-qemu FOLDER\n");
        return 2;
    }
    g_autoptr(GDir) folder = g_dir_open(argv[1], 0, NULL);
    int cases = 0;
    for (const char *name; folder != NULL && (name = g_dir_read_name(folder)) != NULL;) {
        if (g_str_has_suffix(name, ".conf")) {
            char *stem = g_strndup(name, strlen(name) - strlen(".conf"));
            g_autofree char *test = g_strconcat("/golden/qemu/", stem, NULL);

            g_test_add_data_func_full(test, g_build_filename(argv[1], stem, NULL), test_case,
                                      g_free);
            g_free(stem);
            cases++;
        }
    }
    g_assert_cmpint(cases, >=, 40);
    return g_test_run();
}
