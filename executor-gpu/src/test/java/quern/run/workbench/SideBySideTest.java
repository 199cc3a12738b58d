package quern.run.workbench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SideBySideTest {
    @Test
    void all_is_done_when_it_returns() throws IOException {
        AtomicInteger done = new AtomicInteger();
        List<Callable<Integer>> work = Collections.nCopies(100, done::incrementAndGet);
        SideBySide.run(3, work);
        assertThat(done).hasValue(100);
    }

    @RepeatedTest(100)
    void nothing_begins_after_a_failure() {
        List<Integer> begun = new ArrayList<>();
        List<Callable<Integer>> work = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            int number = i;
            work.add(() -> {
                begun.add(number);
                if (number == 1) {
                    throw new EOFException("of the second");
                }
                return number;
            });
        }
        assertThatThrownBy(() -> SideBySide.run(1, work))
                .isInstanceOf(EOFException.class)
                .hasMessage("of the second");
        assertThat(begun).containsExactly(0, 1);
    }

    /** A stage that fails ends the run, though an earlier one in the list would go on for hours. */
    @Test
    void a_failure_does_not_wait_for_what_stands_before_it() {
        CountDownLatch never = new CountDownLatch(1);
        AtomicBoolean interrupted = new AtomicBoolean();
        CountDownLatch begun = new CountDownLatch(1);
        List<Callable<Boolean>> work = List.of(
                () -> {
                    begun.countDown();
                    try {
                        never.await();
                    } catch (InterruptedException e) {
                        interrupted.set(true);
                        throw new IOException("of the one that was interrupted", e);
                    }
                    return true;
                },
                () -> {
                    begun.await();
                    throw new EOFException("of the second");
                });
        assertThatThrownBy(() -> SideBySide.run(2, work)).hasMessage("of the second");
        assertThat(interrupted).isTrue();
    }
}
