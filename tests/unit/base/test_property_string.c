#include "base/property_string.h"
#include <string.h>

/* clang-format off */
static const QPropertyRow rows[] = {
    { "file", Q_PROPERTY_STRING, .required = true, .is_default = true },
    { "volume", .alias = "file" },
    { "size", Q_PROPERTY_SIZE },
    { "on", Q_PROPERTY_BOOL },
    { "count", Q_PROPERTY_INT, .min = 1, .max = 9 },
    { "rate", Q_PROPERTY_NUMBER },
    { "bytes", .alias = "rate", .divide = 1048576 },
    { "mode", Q_PROPERTY_STRING, .words = "a bc" },
    { "hex", Q_PROPERTY_STRING, .pattern = "0x[0-9a-f]+" },
    { "gone", Q_PROPERTY_OLD },
    { NULL },
};
static const QPropertyRow net_rows[] = {
    { "model", Q_PROPERTY_STRING, .required = true, .is_default = true },
    { "virtio", .alias = "macaddr", .keyed = "model" },
    { "e1000", .alias = "macaddr", .keyed = "model" },
    { "macaddr", Q_PROPERTY_STRING },
    { "bridge", Q_PROPERTY_STRING },
    { NULL },
};
/* clang-format on */

static void
test_printed(void)
{
    static const struct {
        const QPropertyRow *rows;
        const char *text, *printed;
    } cases[] = {
        { rows, "on=Yes,st:9/d.qcow2,size=1048576K", "st:9/d.qcow2,on=1,size=1G" },
        { rows, "volume=x,,size=1025K", "x,size=1025K" },
        { rows, "x,size=513", "x,size=513" },
        { rows, " x , on=off ", "x,on=0" },
        { rows, "x,gone=77", "x" },
        { rows, "x,bytes=1048576", "x,rate=1.000" },
        { rows, "x,size=0.5G", "x,size=512M" },
        { rows, "x,size=4096KiB", "x,size=4M" },
        { net_rows, "bridge=vmbr0,model=e1000,macaddr=M", "e1000=M,bridge=vmbr0" },
        { net_rows, "virtio=M", "virtio=M" },
        { net_rows, "virtio", "virtio" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(QPropertyString) string =
            q_property_string_parse(cases[i].rows, cases[i].text, Q_PROPERTY_STRICT, &error);
        g_test_message("'%s'", cases[i].text);
        g_assert_no_error(error);
        g_autofree char *printed = q_property_string_text(string);
        g_assert_cmpstr(printed, ==, cases[i].printed);
        /* What is printed means the same. */
        g_autoptr(QPropertyString) again =
            q_property_string_parse(cases[i].rows, printed, Q_PROPERTY_STRICT, &error);
        g_assert_no_error(error);
        g_autofree char *reprinted = q_property_string_text(again);
        g_assert_cmpstr(reprinted, ==, printed);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *why;
        bool leniently; /* refused when read from a file, too */
    } cases[] = {
        { "", "file: property is missing*", true },
        { "on=1", "file: property is missing*", true },
        { "a,b", "file: given twice", true },
        { "a,volume=b", "volume: given twice", true },
        { "a,on=", "on: has no value", true },
        { "a,on=maybe", "on: type check ('boolean')*", true },
        { "a,count=1.5", "count: type check ('integer')*", true },
        { "a,count=0x3", "count: type check ('integer')*", true },
        { "a,size=4X", "size: '4X' is no size*", true },
        { "a,size=-4", "size: '-4' is no size*", true },
        { "a,nosuch=1", "nosuch: property is not defined*", true },
        { "a,count=0", "count: value must have a minimum value of 1", false },
        { "a,count=10", "count: value must have a maximum value of 9", false },
        { "a,mode=b", "mode: value 'b' does not have a value in the enumeration 'a, bc'", false },
        { "a,hex=0xfg", "hex: value does not match*", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) strict = NULL, lenient = NULL;
        g_autoptr(QPropertyString) refused =
            q_property_string_parse(rows, cases[i].text, Q_PROPERTY_STRICT, &strict);
        g_autoptr(QPropertyString) read =
            q_property_string_parse(rows, cases[i].text, Q_PROPERTY_LENIENT, &lenient);

        g_test_message("'%s'", cases[i].text);
        g_assert_null(refused);
        g_assert_error(strict, Q_ERROR, Q_ERROR_INVALID);
        g_assert_true(g_pattern_match_simple(cases[i].why, strict->message));
        g_assert_true((read == NULL) == cases[i].leniently);
    }
}

static void
test_sizes(void)
{
    uint64_t bytes;

    g_assert_true(q_parse_size("9007199254740993", &bytes)); /* not exact as a double */
    g_assert_cmpuint(bytes, ==, 9007199254740993);
    g_assert_false(q_parse_size("99999999999T", &bytes));
    g_assert_false(q_parse_size("nan", &bytes));
    g_assert_false(q_parse_size("", &bytes));
    g_autofree char *zero = q_size_text(0);
    g_assert_cmpstr(zero, ==, "0");
}

static void
test_access(void)
{
    g_autoptr(QPropertyString) string =
        q_property_string_parse(rows, "x,on=1,count=7,rate=1.5,size=2K", Q_PROPERTY_STRICT, NULL);

    g_assert_true(q_property_bool(string, "on", false));
    g_assert_cmpint(q_property_int(string, "count", 0), ==, 7);
    g_assert_cmpint(q_property_int(string, "size", 0), ==, 2048);
    g_assert_cmpfloat(q_property_number(string, "rate", 0), ==, 1.5);
    g_assert_cmpstr(q_property_get(string, "mode", "none"), ==, "none");
    q_property_set(string, "on", NULL);
    g_assert_true(q_property_bool(string, "on", true));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/property-string/printed", test_printed);
    g_test_add_func("/property-string/refused", test_refused);
    g_test_add_func("/property-string/sizes", test_sizes);
    g_test_add_func("/property-string/access", test_access);
    return g_test_run();
}
