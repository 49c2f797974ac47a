"""thop says one number, profiler another: which operators make the difference?"""

import torch
import torchvision

import profiler


def main() -> None:
    """Compare with thop, and print every cause."""
    model = torchvision.models.resnet18().eval()
    with profiler.profile(model) as p:
        model(torch.zeros(1, 3, 224, 224))
    for finding in p.compare("thop"):
        assert finding.unexplained == 0
        if finding.claim.subject in {"", "total"} and finding.claim.unit == "MAC":
            print(f"thop {finding.claim.claimed:,}, ours {finding.ours:,}")
            for cause in finding.causes:
                print(f"  {cause.amount:+,} {cause.code}: {cause.why}")


if __name__ == "__main__":
    main()
