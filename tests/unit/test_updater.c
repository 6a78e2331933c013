#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/http/updater.h"

#include <string.h>

static void writes_chips_as_esphome_does(void **state)
{
    static const struct {
        const char *chip, *family;
    } rows[] = {
        {"esp32", "ESP32"},        {"esp32s2", "ESP32-S2"},
        {"esp32c3", "ESP32-C3"},   {"esp32c61", "ESP32-C61"},
        {"esp8266", "ESP8266"},    {"rp2040", "RP2040"},
        {"esp32s31", "ESP32-S31"}, {"esp32p4", "ESP32-P4"},
        {"esp3", "ESP3"},          {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char family[CHIP_FAMILY_SIZE];
        updater_chip_family(rows[i].chip, family);
        assert_string_equal(family, rows[i].family);
    }
}

static void a_chip_of_any_length_fits(void **state)
{
    char chip[64] = "esp32", family[CHIP_FAMILY_SIZE + 1];
    (void)state;
    for (size_t len = 5; len < sizeof chip - 1; len++) {
        chip[len] = 'x';
        family[CHIP_FAMILY_SIZE] = '~';
        updater_chip_family(chip, family);
        assert_int_equal(family[CHIP_FAMILY_SIZE], '~');
        assert_true(strlen(family) < CHIP_FAMILY_SIZE);
        assert_memory_equal(family, "ESP32-X", 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_chips_as_esphome_does),
        cmocka_unit_test(a_chip_of_any_length_fits),
    };
    return cmocka_run_group_tests_name("updater", tests, NULL, NULL);
}
