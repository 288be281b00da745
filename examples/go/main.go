// Explains an image and writes the overlay that the server draws:
//
//	explain localhost:50051 photo.jpg circle overlay.png
package main

import (
	"context"
	"fmt"
	"io/ioutil"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"

	pb "camserve/v1"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: explain SERVER IMAGE CLASS OVERLAY")
	}
	image, err := ioutil.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	response, err := pb.NewExplanationServiceClient(connection).Explain(ctx, &pb.ExplainRequest{
		Model: "scenes-classifier",
		Image: image,
		Targets: []*pb.Target{{Kind: &pb.Target_ClassTarget{
			ClassTarget: &pb.ClassTarget{Selector: &pb.ClassTarget_Label{Label: os.Args[3]}},
		}}},
		Output: &pb.Output{Renderings: []*pb.RenderingRequest{
			{Format: pb.RenderingFormat_RENDERING_FORMAT_OVERLAY_PNG},
		}},
	})
	if err != nil {
		log.Fatal(err) // a status with google.rpc.ErrorInfo; see errors.md
	}
	top := response.Predictions[0].GetClassPrediction()
	fmt.Printf("%s %.4f\n", top.Label, top.Probability)
	if err := ioutil.WriteFile(os.Args[4], response.Explanations[0].Renderings[0].Data, 0o644); err != nil {
		log.Fatal(err)
	}
}
