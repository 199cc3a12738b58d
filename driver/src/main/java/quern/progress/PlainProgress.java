package quern.progress;

import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/** Whole lines: a stage's first layer, then one at most every ten seconds, and its end. */
final class PlainProgress implements Progress {
    private static final Duration PAUSE = Duration.ofSeconds(10);

    private final PrintStream out;
    private final InstantSource clock;

    PlainProgress(PrintStream out, InstantSource clock) {
        this.out = out;
        this.clock = clock;
    }

    @Override
    public Stage stage(String name, int layers, String step) {
        Pace pace = new Pace(name, layers, step, clock.instant());
        return new Stage() {
            private Instant said = Instant.EPOCH;
            private boolean closed;

            @Override
            public synchronized void advance(int finished, long tokens, double loss) {
                pace.advance(finished, tokens, loss);
                Instant now = clock.instant();
                if (pace.isComplete()) {
                    close(); // what is said later stands below it
                } else if (!now.isBefore(said.plus(PAUSE))) {
                    said = now;
                    say(pace.line(now, false));
                }
            }

            @Override
            public synchronized void close() {
                if (!closed) {
                    closed = true;
                    say(pace.line(clock.instant(), false));
                }
            }
        };
    }

    @Override
    public synchronized void say(String line) {
        out.println(line);
        out.flush();
    }

    @Override
    public void close() {}
}
