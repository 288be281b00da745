import camserve.v1.ExplanationOuterClass.ClassPrediction;
import camserve.v1.ExplanationOuterClass.ClassTarget;
import camserve.v1.ExplanationOuterClass.ExplainRequest;
import camserve.v1.ExplanationOuterClass.ExplainResponse;
import camserve.v1.ExplanationOuterClass.Output;
import camserve.v1.ExplanationOuterClass.RenderingFormat;
import camserve.v1.ExplanationOuterClass.RenderingRequest;
import camserve.v1.ExplanationOuterClass.Target;
import camserve.v1.ExplanationServiceGrpc;
import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Explains an image and writes the overlay that the server draws: SERVER IMAGE CLASS OVERLAY. */
public final class Explain {
  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    try {
      ExplainRequest request =
          ExplainRequest.newBuilder()
              .setModel("scenes-classifier")
              .setImage(ByteString.copyFrom(Files.readAllBytes(Path.of(arguments[1]))))
              .addTargets(Target.newBuilder().setClassTarget(ClassTarget.newBuilder().setLabel(arguments[2])))
              .setOutput(
                  Output.newBuilder()
                      .addRenderings(
                          RenderingRequest.newBuilder()
                              .setFormat(RenderingFormat.RENDERING_FORMAT_OVERLAY_PNG)))
              .build();
      ExplainResponse response =
          ExplanationServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(30, TimeUnit.SECONDS)
              .explain(request);
      ClassPrediction top = response.getPredictions(0).getClassPrediction();
      System.out.printf("%s %.4f%n", top.getLabel(), top.getProbability());
      byte[] overlay = response.getExplanations(0).getRenderings(0).getData().toByteArray();
      Files.write(Path.of(arguments[3]), overlay);
    } finally {
      channel.shutdown();
    }
  }
}
