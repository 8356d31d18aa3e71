# Writes what the sensors of a room say, once a minute: awk -v seed=1 -v days=20 -f generate.awk
#
# Carbon dioxide (ppm) rises by 12 a minute and person and goes back to 420 with the air, faster where a window is open; people warm
# and moisten the air; the light follows the sun and whoever switches it on. The state is empty, occupied or airing (a window is
# open). Columns: temperature,humidity,co2,light,state. With -v json=1 lines are JSON, as Zigbee2MQTT writes it.

function normal() { return sqrt(-2 * log(1 - rand())) * cos(6.283185307 * rand()) }

BEGIN {
    srand(seed)
    co2 = 500; temperature = 20; humidity = 45
    if (!json) print "temperature,humidity,co2,light,state"
    for (minute = 0; minute < days * 1440; minute++) {
        hour = minute % 1440 / 60
        if (minute % 30 == 0) {
            people = hour > 7 && hour < 22 ? (rand() < 0.45 ? 1 + int(3 * rand()) : 0) : 0
            open = hour > 6 && hour < 23 && rand() < 0.15
            lamp = people && (hour < 9 || hour > 16 || rand() < 0.3)
        }
        co2 += 12 * people - (open ? 0.12 : 0.012) * (co2 - 420)
        temperature += 0.01 * people - (open ? 0.03 * (temperature - 12) : 0) + 0.02 * (21 - temperature)
        humidity += 0.08 * people - (open ? 0.04 * (humidity - 35) : 0) + 0.01 * (45 - humidity)
        sun = sin((hour - 6) * 0.2618)
        light = (sun > 0 ? 300 * sun : 0) + (lamp ? 250 : 0) + 5
        state = open ? "airing" : people ? "occupied" : "empty"
        format = json ? "{\"temperature\":%.1f,\"humidity\":%.1f,\"co2\":%d,\"illuminance\":%d,\"linkquality\":120}\n" \
                      : "%.1f,%.1f,%d,%d," state "\n"
        if (minute % every == 0 || !every)
            printf format, temperature + 0.15 * normal(), humidity + 0.8 * normal(), co2 + 20 * normal(), light * exp(0.1 * normal())
    }
}
