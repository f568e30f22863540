/** What can be done about a finding; the host knows how. */
export type DoctorAction = "install" | "libraryPath" | "pythonPath" | "restart" | "log" | "settings";

/** A finding as the page shows it: its state in words besides the mark, and what can be done. */
export interface DoctorItem {
  readonly name: string;
  readonly state: "found" | "missing" | "unusable";
  readonly stateText: string;
  readonly version?: string;
  readonly where?: string;
  readonly advice?: string;
  readonly tried: readonly { readonly place: string; readonly reason: string }[];
  readonly actions: readonly DoctorAction[];
}

export interface DoctorReport {
  readonly platform: string;
  /** What this machine runs engines with, in one sentence. */
  readonly verdict: string;
  readonly machine: readonly DoctorItem[];
  /** Engines in memory. */
  readonly engines: readonly DoctorItem[];
}

/** The page's words in the person's language. */
export interface DoctorTexts {
  readonly title: string;
  readonly machine: string;
  readonly engines: string;
  /** "Places looked in ({0})" */
  readonly tried: string;
  readonly lookAgain: string;
  readonly looking: string;
  readonly copy: string;
  readonly actions: Readonly<Record<DoctorAction, string>>;
}

export interface DoctorProtocol {
  readonly requests: {
    readonly look: { readonly params: null; readonly result: DoctorReport };
    readonly act: { readonly params: { readonly action: DoctorAction }; readonly result: null };
    readonly copy: { readonly params: null; readonly result: null };
  };
  readonly events: {
    /** Another look, which a command asked for. */
    readonly report: DoctorReport;
  };
}
