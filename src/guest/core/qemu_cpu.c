#include "guest/core/qemu_priv.h"
#include <string.h>

/* CPU models of QEMU 7.2 and later, with the vendor that each reports, and the abstract levels. */
/* clang-format off */
static const struct {
    const char *names; /* blank separated */
    const char *vendor;
} models[] = {
    { "486 pentium pentium2 pentium3 coreduo core2duo Conroe Penryn Nehalem Nehalem-IBRS Westmere Westmere-IBRS "
      "SandyBridge SandyBridge-IBRS IvyBridge IvyBridge-IBRS Haswell Haswell-IBRS Haswell-noTSX "
      "Haswell-noTSX-IBRS Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Skylake-Client "
      "Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS "
      "Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 Cascadelake-Server "
      "Cascadelake-Server-noTSX Cascadelake-Server-v2 Cascadelake-Server-v4 Cascadelake-Server-v5 "
      "Cooperlake Cooperlake-v2 Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX "
      "Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 KnightsMill SapphireRapids "
      "SapphireRapids-v2 SapphireRapids-v3 SapphireRapids-v4 GraniteRapids GraniteRapids-v2 SierraForest "
      "ClearwaterForest Denverton Snowridge n270", "GenuineIntel" },
    { "athlon phenom Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC EPYC-IBPB EPYC-v3 EPYC-v4 "
      "EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Milan EPYC-Milan-v2 EPYC-Genoa EPYC-Genoa-v2 EPYC-Turin",
      "AuthenticAMD" },
    { "Dhyana", "HygonGenuine" },
    { "kvm32 kvm64 qemu32 qemu64 host max", NULL },
};
static const struct {
    const char *name, *flags; /* on top of qemu64 */
} levels[] = {
    { "x86-64-v2",     "+popcnt;+pni;+sse4.1;+sse4.2;+ssse3" },
    { "x86-64-v2-AES", "+aes;+popcnt;+pni;+sse4.1;+sse4.2;+ssse3" },
    { "x86-64-v3",     "+abm;+aes;+avx;+avx2;+bmi1;+bmi2;+f16c;+fma;+movbe;+popcnt;+pni;+sse4.1;+sse4.2;+ssse3;+xsave" },
    { "x86-64-v4",     "+abm;+aes;+avx;+avx2;+avx512bw;+avx512cd;+avx512dq;+avx512f;+avx512vl;+bmi1;+bmi2;+f16c;+fma;"
                       "+movbe;+popcnt;+pni;+sse4.1;+sse4.2;+ssse3;+xsave" },
};
/* clang-format on */
#define GUEST_FLAGS                                                                                \
    "aes amd-no-ssb amd-ssbd hv-evmcs hv-tlbflush ibpb md-clear nested-virt pcid pdpe1gb "         \
    "spec-ctrl ssbd virt-ssbd"

static const char *
find_level(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strcmp(levels[i].name, name) == 0) {
            return levels[i].flags;
        }
    }
    return NULL;
}

static bool
find_model(const char *name, const char **vendor)
{
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (q_is_word_of(models[i].names, name)) {
            *vendor = models[i].vendor;
            return true;
        }
    }
    return false;
}

bool
guest_cpu_model_exists(const char *name)
{
    const char *vendor;

    return find_level(name) != NULL || find_model(name, &vendor);
}

bool
guest_cpu_flag_is_allowed(const char *flag)
{
    return q_is_word_of(GUEST_FLAGS, flag);
}

/* Appends ";"-separated flags; later ones win over earlier ones of the same name. */
static void
add_flags(GHashTable *flags, const char *list)
{
    g_auto(GStrv) parts = g_strsplit(list, ";", -1);

    for (int i = 0; parts[i] != NULL; i++) {
        if (parts[i][0] == '+' || parts[i][0] == '-') {
            g_hash_table_insert(flags, g_strdup(parts[i] + 1), g_strndup(parts[i], 1));
        }
    }
}

static gint
compare_words(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What KVM offers to each kind of guest; emulation has none of it. */
static void
add_kvm_flags(QemuBuild *build, const char *model, bool hidden, GHashTable *flags, GString *out)
{
    const char *ostype = guest_get(build->section, "ostype");

    if (strcmp(model, "kvm64") == 0) {
        add_flags(flags, "+lahf_lm;+sep");
    }
    if (g_strcmp0(ostype, "solaris") == 0) {
        add_flags(flags, "-x2apic");
    }
    if (g_str_has_prefix(model, "Opteron")) {
        add_flags(flags, "-rdtscp");
    }
    if (!hidden) {
        add_flags(flags, "+kvm_pv_unhalt;+kvm_pv_eoi");
    }
    if (build->windows >= 6) {
        g_string_append(out,
                        ",hv_spinlocks=0x1fff,hv_vapic,hv_time,hv_reset,hv_vpindex,hv_runtime");
        if (build->windows >= 7) {
            g_string_append(out, ",hv_relaxed,hv_synic,hv_stimer,hv_ipi");
        }
    }
    if (hidden) {
        g_string_append(out, ",kvm=off");
    }
    if (strcmp(model, "host") != 0) {
        g_string_append(out, ",enforce");
    }
}

static void
append_flags(GHashTable *flags, GString *out)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, flags);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_ptr_array_add(names, name);
    }
    g_ptr_array_sort(names, compare_words);
    for (guint i = 0; i < names->len; i++) {
        g_string_append_printf(out, ",%s%s", (char *)g_hash_table_lookup(flags, names->pdata[i]),
                               (char *)names->pdata[i]);
    }
}

static bool
add_guest_flags(const QPropertyString *cpu, const char *vendor, GHashTable *flags, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(q_property_get(cpu, "flags", ""), ";", -1);

    for (int i = 0; parts[i] != NULL; i++) {
        if (parts[i][0] == '\0') {
            continue;
        }
        if (!guest_cpu_flag_is_allowed(parts[i] + 1)) {
            return q_set_error(error, Q_ERROR_INVALID, "cpu: flag '%s' is not one of: %s",
                               parts[i] + 1, GUEST_FLAGS);
        }
        if (strcmp(parts[i] + 1, "nested-virt") == 0) {
            g_autofree char *real = g_strdup_printf(
                "%c%s", parts[i][0], g_strcmp0(vendor, "AuthenticAMD") == 0 ? "svm" : "vmx");
            add_flags(flags, real);
        } else {
            add_flags(flags, parts[i]);
        }
    }
    return true;
}

/* "kvm64,enforce,+lahf_lm,…"; @model (out) (transfer full): the name alone. */
static char *
cpu_text(QemuBuild *build, char **model, GError **error)
{
    bool kvm = build->command->kvm;
    g_autoptr(GError) bad = NULL;
    g_autoptr(QPropertyString) cpu = guest_get_properties(build->section, "cpu", &bad);
    g_autoptr(GHashTable) flags = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *name = cpu != NULL ? q_property_get(cpu, "cputype", NULL) : NULL;
    const char *level = name != NULL ? find_level(name) : NULL;
    const char *vendor = NULL;
    g_autoptr(GString) out = g_string_new(NULL);

    if (bad != NULL) {
        g_propagate_error(error, g_steal_pointer(&bad));
        return NULL;
    }
    if (name != NULL && g_str_has_prefix(name, "custom-")) {
        q_set_error(error, Q_ERROR_UNSUPPORTED, "cpu: custom models ('%s') are not supported yet",
                    name);
        return NULL;
    }
    if (name == NULL) {
        name = kvm ? "kvm64" : "qemu64";
    }
    if (level == NULL && !find_model(name, &vendor)) {
        q_set_error(error, Q_ERROR_INVALID, "cpu: there is no model '%s'", name);
        return NULL;
    }
    if (strcmp(name, "host") == 0 && !kvm) {
        qemu_note(build, "cpu: 'host' needs KVM: using 'max'");
        name = "max";
    }
    *model = g_strdup(level != NULL ? "qemu64" : name);
    if (level != NULL) {
        add_flags(flags, level);
    }
    if (kvm) {
        add_kvm_flags(build, *model, cpu != NULL && q_property_bool(cpu, "hidden", false), flags,
                      out);
    }
    if (cpu != NULL && !add_guest_flags(cpu, vendor, flags, error)) {
        return NULL;
    }
    append_flags(flags, out);
    if (kvm && vendor != NULL) {
        g_string_append_printf(out, ",vendor=%s", vendor);
    }
    if (cpu != NULL) {
        const char *bits = q_property_get(cpu, "phys-bits", NULL);

        if (bits != NULL) {
            g_string_append(out,
                            strcmp(bits, "host") == 0 ? ",host-phys-bits=true" : ",phys-bits=");
            g_string_append(out, strcmp(bits, "host") == 0 ? "" : bits);
        }
        if (kvm && q_property_get(cpu, "hv-vendor-id", NULL) != NULL) {
            g_string_append_printf(out, ",hv_vendor_id=%s",
                                   q_property_get(cpu, "hv-vendor-id", NULL));
        }
        if (q_property_get(cpu, "level", NULL) != NULL) {
            g_string_append_printf(out, ",level=%s", q_property_get(cpu, "level", NULL));
        }
    }
    return g_strconcat(*model, out->str, NULL);
}

static bool
hotplugs(const GuestSection *section, const char *what)
{
    const char *list = guest_get(section, "hotplug");
    g_auto(GStrv) parts = g_strsplit(list != NULL ? list : "", ",", -1);

    return g_strv_contains((const char *const *)parts, what);
}

bool
qemu_add_cpu(QemuBuild *build, GError **error)
{
    int64_t sockets = guest_get_int(build->section, "sockets", 1);
    int64_t cores = guest_get_int(build->section, "cores", 1);
    int64_t all = sockets * cores;
    int64_t plugged = guest_get_int(build->section, "vcpus", all);
    g_autofree char *model = NULL;

    if (sockets < 1 || cores < 1 || sockets > 64 || cores > 8192) {
        return q_set_error(error, Q_ERROR_INVALID, "sockets and cores must be at least 1");
    }
    if (all > build->host->cpus) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%" G_GINT64_FORMAT
                           " CPUs are more than the %d of node '%s': lower sockets or cores",
                           all, build->host->cpus, build->host->node);
    }
    if (plugged < 1 || plugged > all) {
        return q_set_error(error, Q_ERROR_INVALID, "vcpus must be between 1 and sockets x cores");
    }
    g_autofree char *text = cpu_text(build, &model, error);
    if (text == NULL) {
        return false;
    }
    bool later = hotplugs(build->section, "cpu");
    qemu_add(build, "-smp",
             "%" G_GINT64_FORMAT ",sockets=%" G_GINT64_FORMAT ",cores=%" G_GINT64_FORMAT
             ",maxcpus=%" G_GINT64_FORMAT,
             later ? 1 : plugged, sockets, cores, all);
    qemu_add(build, "-cpu", "%s", text);
    for (int64_t n = 2; later && n <= plugged; n++) {
        qemu_add(build, "-device",
                 "%s-x86_64-cpu,id=cpu%" G_GINT64_FORMAT ",socket-id=%" G_GINT64_FORMAT
                 ",core-id=%" G_GINT64_FORMAT ",thread-id=0",
                 model, n, (n - 1) / cores, (n - 1) % cores);
    }
    return true;
}

bool
qemu_add_memory(QemuBuild *build, GError **error)
{
    int64_t mib = guest_config_memory_mib(build->section);
    int64_t sockets = guest_get_int(build->section, "sockets", 1);
    int64_t cores = guest_get_int(build->section, "cores", 1);

    if (mib < 16) {
        return q_set_error(error, Q_ERROR_INVALID, "memory: at least 16 MiB");
    }
    if (hotplugs(build->section, "memory")) {
        if (!guest_get_bool(build->section, "numa", false)) {
            return q_set_error(error, Q_ERROR_INVALID, "hotplug of memory needs numa: 1");
        }
        qemu_note(build, "memory is plugged at start: hotplug of memory has no effect yet");
    }
    qemu_add(build, "-m", "%" G_GINT64_FORMAT, mib);
    if (!guest_get_bool(build->section, "numa", false)) {
        return true;
    }
    if (mib % sockets != 0) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "memory: %" G_GINT64_FORMAT
                           " MiB cannot be split evenly over %" G_GINT64_FORMAT " NUMA nodes",
                           mib, sockets);
    }
    for (int64_t node = 0; node < sockets; node++) {
        g_autofree char *cpus = cores == 1
                                    ? g_strdup_printf("%" G_GINT64_FORMAT, node)
                                    : g_strdup_printf("%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT,
                                                      node * cores, (node + 1) * cores - 1);
        qemu_add(build, "-object",
                 "memory-backend-ram,id=ram-node%" G_GINT64_FORMAT ",size=%" G_GINT64_FORMAT "M",
                 node, mib / sockets);
        qemu_add(build, "-numa",
                 "node,nodeid=%" G_GINT64_FORMAT ",cpus=%s,memdev=ram-node%" G_GINT64_FORMAT, node,
                 cpus, node);
    }
    return true;
}
