package quern.app;

import static org.assertj.core.api.Assertions.assertThat;

import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SessionTest {
    private static final String TIMEOUT = "spark.network.timeout";

    /** Spark would take the executor of this very process for lost, and end with it, two minutes into a laptop's sleep. */
    @ParameterizedTest
    @ValueSource(strings = {"local", "local[2]", "local[*]"})
    void a_machine_may_sleep_for_days_where_all_is_one_process(String master) {
        SparkConf conf = Session.settled(given(master));
        assertThat(conf.getTimeAsSeconds(TIMEOUT)).isGreaterThan(7 * 24 * 3600L);
        assertThat(conf.getTimeAsMs(TIMEOUT)).isLessThan(Integer.MAX_VALUE);
    }

    @ParameterizedTest
    @ValueSource(strings = {"yarn", "spark://host:7077", "local-cluster[2,1,1024]"})
    void executors_elsewhere_are_lost_as_soon_as_spark_says(String master) {
        assertThat(Session.settled(given(master)).contains(TIMEOUT)).isFalse();
    }

    @Test
    void what_was_asked_for_stays() {
        assertThat(Session.settled(given("local").set(TIMEOUT, "99s")).get(TIMEOUT))
                .isEqualTo("99s");
    }

    private static SparkConf given(String master) {
        return new SparkConf(false).set("spark.master", master);
    }
}
