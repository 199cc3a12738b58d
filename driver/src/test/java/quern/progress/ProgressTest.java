package quern.progress;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ProgressTest {
    private final FakeTerminal terminal = new FakeTerminal(120);
    private Instant now = Instant.EPOCH.plusSeconds(1_000_000);

    private Progress live() {
        return new LiveProgress(terminal.out(), () -> now);
    }

    private Progress plain() {
        return new PlainProgress(terminal.out(), () -> now);
    }

    @Test
    void a_stage_is_one_line_drawn_again_in_place() {
        Progress progress = live();
        Progress.Stage stage = progress.stage("stage 1 of 1", 30);
        for (int layer = 1; layer <= 12; layer++) {
            now = now.plusSeconds(2);
            stage.advance(layer, layer * 16_384L, 0.4321);
        }

        assertThat(terminal.screen())
                .containsExactly("stage 1 of 1  [########............]  layer 12 of 30  8,192 tokens/s"
                        + "  error 0.432 of round-to-nearest  ETA 0:36");
    }

    @Test
    void several_stages_stand_side_by_side_and_a_finished_one_stays_above() {
        Progress progress = live();
        Progress.Stage first = progress.stage("stage 1 of 2", 2);
        Progress.Stage second = progress.stage("stage 2 of 2", 4);
        now = now.plusSeconds(10);
        second.advance(1, 0, Double.NaN);
        now = now.plusSeconds(10);
        first.advance(2, 0, Double.NaN);
        first.close();

        assertThat(terminal.screen())
                .containsExactly(
                        "stage 1 of 2  [####################]  layer 2 of 2  done in 0:20",
                        "stage 2 of 2  [#####...............]  layer 1 of 4  ETA 1:00");
    }

    /** Its time is that of its layers, not of what comes after them. */
    @Test
    void the_end_of_a_stage_is_drawn_once_and_what_follows_stands_below() {
        for (Progress progress : List.of(live(), plain())) {
            int before = terminal.written().length();
            Progress.Stage stage = progress.stage("stage 1 of 1", 2);
            now = now.plusSeconds(5);
            stage.advance(1, 0, Double.NaN);
            now = now.plusSeconds(5);
            stage.advance(2, 0, Double.NaN);
            progress.say("writing 1 file");
            now = now.plusSeconds(5);
            stage.close();
            progress.close();

            String written = terminal.written().substring(before);
            assertThat(written.split("done in", -1)).hasSize(2);
            assertThat(written.indexOf("done in 0:10")).isBetween(0, written.indexOf("writing"));
        }
    }

    @Test
    void a_line_that_stays_is_written_above_the_live_ones() {
        Progress progress = live();
        progress.stage("stage 1 of 1", 3);
        progress.say("calibration: 128 x 2,048 tokens");
        progress.say("second");

        assertThat(terminal.screen())
                .containsExactly(
                        "calibration: 128 x 2,048 tokens",
                        "second",
                        "stage 1 of 1  [....................]  layer 0 of 3");
        progress.close();
        assertThat(terminal.screen()).containsExactly("calibration: 128 x 2,048 tokens", "second");
    }

    @Test
    void a_narrow_terminal_clips_lines_and_is_never_scrolled() {
        FakeTerminal narrow = new FakeTerminal(24);
        Progress progress = new LiveProgress(narrow.out(), () -> now);
        Progress.Stage stage = progress.stage("stage 1 of 1", 30);
        for (int layer = 1; layer <= 5; layer++) {
            now = now.plusSeconds(1);
            stage.advance(layer, 1000, 0.5);
        }

        assertThat(narrow.screen())
                .hasSize(1)
                .allSatisfy(line -> assertThat(line).hasSizeLessThanOrEqualTo(24));
    }

    @Test
    void a_frame_is_one_write_and_there_are_at_most_ten_a_second() {
        Progress progress = live();
        Progress.Stage stage = progress.stage("stage 1 of 1", 1000);
        int before = terminal.writes();
        for (int layer = 1; layer <= 1000; layer++) {
            now = now.plus(Duration.ofMillis(1));
            stage.advance(layer, 0, Double.NaN);
        }

        assertThat(terminal.writes() - before).isBetween(9, 10);
    }

    @Test
    void thirty_stages_leave_room_on_a_small_terminal() {
        Progress progress = live();
        for (int i = 1; i <= 30; i++) {
            progress.stage("stage " + i, 1);
        }

        assertThat(terminal.screen()).hasSize(12).last().isEqualTo("and 19 more stages");
    }

    @Test
    void threads_do_not_mix_their_lines() throws Exception {
        Progress progress = live();
        ExecutorService threads = Executors.newFixedThreadPool(8);
        CountDownLatch start = new CountDownLatch(1);
        for (int i = 0; i < 8; i++) {
            String name = "stage " + i;
            threads.execute(() -> {
                try (Progress.Stage stage = progress.stage(name, 50)) {
                    start.await();
                    for (int layer = 1; layer <= 50; layer++) {
                        stage.advance(layer, 0, Double.NaN);
                        progress.say(name + " says " + layer);
                    }
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            });
        }
        start.countDown();
        threads.shutdown();
        assertThat(threads.awaitTermination(30, TimeUnit.SECONDS)).isTrue();

        List<String> screen = terminal.screen();
        assertThat(screen).hasSize(8 * 51).allMatch(line -> line.matches("stage \\d( says \\d+|.* done in 0:00)"));
    }

    @Test
    void without_a_terminal_lines_are_whole_and_seldom() {
        Progress progress = plain();
        try (Progress.Stage stage = progress.stage("stage 1 of 1", 30)) {
            for (int layer = 1; layer <= 30; layer++) {
                now = now.plusSeconds(1);
                stage.advance(layer, layer * 1000L, Double.NaN);
            }
        }

        assertThat(terminal.written().lines())
                .containsExactly(
                        "stage 1 of 1  layer 1 of 30  1,000 tokens/s  ETA 0:29",
                        "stage 1 of 1  layer 11 of 30  1,000 tokens/s  ETA 0:19",
                        "stage 1 of 1  layer 21 of 30  1,000 tokens/s  ETA 0:09",
                        "stage 1 of 1  layer 30 of 30  1,000 tokens/s  done in 0:30");
    }

    @Test
    void a_dumb_terminal_and_no_terminal_are_not_drawn_on() {
        assertThat(Terminal.isLive(null, "xterm")).isFalse();
        assertThat(Terminal.isLive(System.console(), "dumb")).isFalse();
    }
}
