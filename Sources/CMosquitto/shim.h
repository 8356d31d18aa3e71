#include <mosquitto.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000  // Later it is part of mosquitto.h.
#include <mqtt_protocol.h>
#endif
