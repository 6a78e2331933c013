/* A file that is read as an ESP image, whatever it claims to be. */
#include "image_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_info info;
    fuzz_image(esp_image_inspect, data, size, &info);
    if (info.kind == IMAGE_ESP)
        assert(image_chip_known(info.chip));
    fuzz_image(image_inspect, data, size, &info);
    return 0;
}
