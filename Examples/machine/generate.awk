# Writes what an accelerometer on a motor measures, for lcp train and lcp sensor: awk -v seed=1 -v recordings=60 -f generate.awk
#
# A recording is 2.56 seconds at 100 samples a second, in m/s², of a motor that turns 6 to 14 times a second. The sensor was
# screwed on at a small angle, and each recording has its own speed, angle, strength and phase, and noise. What tells the states
# apart is the shape of the vibration, and never its strength:
#   normal      once in a turn, x a quarter of a turn before y
#   unbalanced  the same, stronger in x than in y
#   misaligned  twice in a turn as strong as once, and along the shaft (z), too
#   bearing     3.6 knocks in a turn, each ringing at 31 Hz
#   loose       every second turn is different, and the housing stops one side of the swing
# Columns: t,ax,ay,az,state,recording. With -v json=32 lines are lists of so many records as JSON, for an MQTT topic.

function normal() { return sqrt(-2 * log(1 - rand())) * cos(6.283185307 * rand()) }

BEGIN {
    srand(seed)
    pi = 3.141592654
    count = split("normal unbalanced misaligned bearing loose", states, " ")
    if (!json) print "t,ax,ay,az,state,recording"
    for (recording = 0; recording < recordings; recording++) {
        state = states[recording % count + 1]
        speed = 6 + 8 * rand()
        phase = 2 * pi * rand()
        gain = 0.6 * exp(0.5 * normal())
        tilt = 0.15 * normal()
        knock = 0
        ring = 0
        for (sample = 0; sample < 256; sample++) {
            t = recording * 4 + sample / 100
            turn = speed * sample / 100 + phase / (2 * pi)
            angle = 2 * pi * turn
            x = sin(angle)
            y = cos(angle)
            z = 0.2 * sin(angle + 1)
            if (state == "unbalanced") { x *= 1.5; y *= 0.7 }
            if (state == "misaligned") { x = 0.7 * x + 0.7 * sin(2 * angle + 1); z += 0.6 * sin(2 * angle) }
            if (state == "bearing") {
                if (int(3.6 * turn) > knock) { knock = int(3.6 * turn); ring = sample }
                burst = exp(-(sample - ring) / 4) * sin(2 * pi * 31 * (sample - ring) / 100)
                x = 0.8 * x + 0.9 * burst
                y = 0.8 * y + 0.6 * burst
            }
            if (state == "loose") {
                x += 0.5 * sin(angle / 2)
                if (x < -0.4) x = -0.4 + 0.2 * (x + 0.4)
                y += 0.3 * sin(angle / 2 + 1)
            }
            ax = gain * x + 9.81 * sin(tilt) + 0.15 * normal()
            ay = gain * y + 0.15 * normal()
            az = gain * z + 9.81 * cos(tilt) + 0.15 * normal()
            if (!json) { printf "%.2f,%.4f,%.4f,%.4f,%s,%d\n", t, ax, ay, az, state, recording; continue }
            line = line (line == "" ? "[" : ",") sprintf("{\"t\":%.2f,\"accel\":{\"x\":%.4f,\"y\":%.4f,\"z\":%.4f}}", t, ax, ay, az)
            if (sample % json == json - 1) { print line "]"; line = "" }
        }
    }
}
