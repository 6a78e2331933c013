/* A file that is read as an MCUboot image, whatever it claims to be. */
#include "image_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_info info;
    fuzz_image(mcuboot_image_inspect, data, size, &info);
    if (info.kind == IMAGE_MCUBOOT)
        assert(*info.version && mcuboot_image_matches(data, size));
    fuzz_image(image_inspect, data, size, &info);
    return 0;
}
