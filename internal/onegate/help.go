package onegate

// help begins with the reference's own, so that who searches it finds it.
const help = `## COMMANDS

    * onegate vm show [VMID] [--json]
    * onegate vm update [VMID] --data KEY=VALUE\\nKEY2=VALUE2
    * onegate vm update [VMID] --erase KEY
    * onegate vm ACTION VMID
        * onegate vm resume VMID
        * onegate vm stop VMID
        * onegate vm suspend VMID
        * onegate vm terminate VMID [--hard]
        * onegate vm reboot VMID [--hard]
        * onegate vm poweroff VMID [--hard]
        * onegate vm resched VMID
        * onegate vm unresched VMID
        * onegate vm hold VMID
        * onegate vm release VMID
    * onegate service show [--json] [--extended]
    * onegate service scale --role ROLE --cardinality CARDINALITY
    * onegate vrouter show [--json]
    * onegate vnet show VNETID [--json] [--extended]
    * onegate ready
    * onegate metrics [--once | --interval SECONDS]
    * onegate watch [vm [VMID] | service [--extended] | vrouter]
    * onegate version

## OPTIONS

    -d, --data DATA         attributes to set: KEY=VALUE, more of them behind \n
    -e, --erase KEY         attribute to remove
    -r, --role ROLE         role of the service
    -c, --cardinality N     number of VMs the role is to have
    -j, --json              the whole answer, as JSON
        --extended          more about each VM or lease
    -f, --hard              do not wait for the guest
        --once              push the metrics once, not for ever
        --interval SECONDS  time between two pushes of metrics (30)
    -h, --help              this text

## EXAMPLES

    Tell the service how busy this VM is:
        onegate vm update --data "LOAD=85\nQUEUE=12"

    Forget it again:
        onegate vm update --erase LOAD

    The address of every VM of the service:
        onegate service show --extended

    Three workers:
        onegate service scale --role worker --cardinality 3

    Say that the application is up, and go on trying while the cloud is not:
        onegate ready

    Push load, memory, swap and disk use every minute:
        onegate metrics --interval 60

    Run a script whenever the service changes:
        onegate watch service | while read -r doc; do ./changed "$doc"; done

## ENVIRONMENT

    ONEGATE_ENDPOINT, VMID and TOKENTXT say where the cloud is and who asks;
    http_proxy names a proxy. /var/run/one-context/one_env overrides them; what
    is still missing is taken from context.sh and token.txt of a mounted context
    disk. ready also reads RETRY_COUNT (3) and RETRY_WAIT_PERIOD (10 seconds).
`
