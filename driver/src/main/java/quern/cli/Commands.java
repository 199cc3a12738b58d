package quern.cli;

/** What the command line sets going. Each returns an exit code: 0, or 1 where what was asked for turned out to be false. */
public interface Commands {
    int quantize(QuantizeRequest request);

    int plan(QuantizeRequest request);

    int eval(EvalRequest request);

    int verify(VerifyRequest request);

    int inspect(InspectRequest request);

    int convert(ConvertRequest request);

    int recommend(RecommendRequest request);

    int clean(CleanRequest request);
}
