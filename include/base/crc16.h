/* crc16.h: CRC-16/ARC, as Modbus has it but beginning with 0: polynomial 0x8005 reflected, no final XOR. */
#ifndef OTAD_BASE_CRC16_H
#define OTAD_BASE_CRC16_H

#include <stddef.h>
#include <stdint.h>

uint16_t crc16_arc(const void *bytes, size_t len);

#endif
